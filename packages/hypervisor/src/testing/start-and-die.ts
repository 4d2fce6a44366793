import { readFileSync } from "node:fs";
import { probeMemory } from "../../../../scripts/system/qemu.ts";
import { QemuHypervisor } from "../qemu/driver.ts";

/** Plays an agent that is killed: starts the guest of the request in a file, says so, and waits for its end. */
const [system = "", img = "", runFolder = "", requestPath = ""] = process.argv.slice(2);
const driver = new QemuHypervisor({ programs: { system, img }, runFolder, probeMemory });
await driver.start(JSON.parse(readFileSync(requestPath, "utf8")));
process.stdout.write("started\n");
