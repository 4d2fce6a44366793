import { readFileSync } from "node:fs";
import { probeMemory } from "../../../../scripts/system/qemu.ts";
import { QemuHypervisor } from "../qemu/driver.ts";
import { QmpClient } from "../qmp/client.ts";

/** Plays an agent that is killed with volumes open: takes the snapshot in a file, of a stopped guest, and dies in the midst. */
const [system = "", img = "", runFolder = "", requestPath = ""] = process.argv.slice(2);
const { execute } = QmpClient.prototype;
QmpClient.prototype.execute = async function (name, ...rest) {
	const answer = await Reflect.apply(execute, this, [name, ...rest]);
	if (name === "transaction") process.kill(process.pid, "SIGKILL");
	return answer;
};
const driver = new QemuHypervisor({ programs: { system, img }, runFolder, probeMemory });
await driver.takeSnapshot(JSON.parse(readFileSync(requestPath, "utf8")));
