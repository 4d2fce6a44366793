import { join } from "node:path";
import { demoNeeds, ensureSystemPackages, isRoot } from "../scripts/system/packages.ts";
import { ensureQemu } from "../scripts/system/qemu.ts";
import { run } from "../scripts/system/run.ts";
import { buildGuestImage } from "./guest/build.ts";

const root = new URL("..", import.meta.url).pathname;

/** Where a rig keeps its servers: as root in a place that the guests' own users can reach. */
export function demoFolder(name: string): string {
	return isRoot() ? `/var/lib/sterna/${name}` : join(root, ".sterna", name);
}

/** Everything that takes long and can be kept: packages, QEMU, the guest's image, the built console and agent. */
export async function prepare(say: (line: string) => void, build: "all" | "agent" = "all") {
	await ensureSystemPackages(demoNeeds, say);
	const qemu = await ensureQemu(say);
	const images = await buildGuestImage(join(root, ".sterna/guest"), say);
	say("building console and agent (kept for the next time)");
	const filter = build === "agent" ? ["--filter=@sterna/agent"] : [];
	await run(join(root, "node_modules/.bin/turbo"), ["run", "build", ...filter], { cwd: root });
	return { qemu, images };
}
