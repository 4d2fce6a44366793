import {
	chmod,
	chown,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	symlink,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Circumstances, readCircumstances, recall, remember } from "./probe-memory.ts";

let folder: string;
let path: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "memory-"));
	path = join(folder, "probe.json");
	await remember(path, circumstances, outcome);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const circumstances: Circumstances = {
	bootId: "9db09192-9fc0-4410-bd2b-a0f563ffc261",
	program: {
		path: "/usr/bin/qemu",
		sizeBytes: 28_000_000,
		modifiedMs: 1_750_000_000_123.5,
		version: "10.0.2 (Debian)",
	},
	kvm: { device: 2792, inode: 95, changedMs: 1_750_000_000_456.25, mayOpen: true },
};
const outcome = { machineTypes: ["pc-q35-10.0"], probe: { accelerator: "tcg" as const, reason: "KVM loops" } };
const { program, kvm } = circumstances;

test("what was found is known while nothing has changed, in a file that is its owner's alone", async () => {
	expect(await recall(path, circumstances)).toEqual(outcome);
	expect((await stat(path)).mode & 0o777).toBe(0o600);
	expect(await readdir(folder)).toEqual(["probe.json"]);
});

test("the circumstances of one machine are the same when they are read again", async () => {
	const first = await readCircumstances(process.execPath, "24");
	expect(first).not.toBeNull();
	expect(await readCircumstances(process.execPath, "24")).toEqual(first);
});

test.each<[string, Partial<Circumstances>]>([
	["another boot of the machine", { bootId: "5ab09192-9fc0-4410-bd2b-a0f563ffc261" }],
	["another QEMU", { program: { ...program, path: "/opt/qemu" } }],
	["a QEMU that was replaced", { program: { ...program, modifiedMs: program.modifiedMs + 1 } }],
	["a QEMU of another size", { program: { ...program, sizeBytes: 1 } }],
	["another release of QEMU", { program: { ...program, version: "10.0.3 (Debian)" } }],
	["no /dev/kvm any more", { kvm: null }],
	["a /dev/kvm that was made anew", { kvm: kvm && { ...kvm, inode: 96 } }],
	["other rights on /dev/kvm", { kvm: kvm && { ...kvm, changedMs: kvm.changedMs + 1 } }],
	["a user who may not open /dev/kvm", { kvm: kvm && { ...kvm, mayOpen: false } }],
])("with %s it is not known", async (_what, change) => {
	expect(await recall(path, { ...circumstances, ...change })).toBeNull();
});

test.each<[string, () => Promise<void>]>([
	["is not there", () => rm(path)],
	["is cut off", async () => writeFile(path, (await readFile(path, "utf8")).slice(0, -5))],
	["has another form", () => writeFile(path, JSON.stringify({ circumstances, outcome: { accelerator: "kvm" } }))],
	[
		"names an accelerator that is none",
		async () => writeFile(path, (await readFile(path, "utf8")).replace("tcg", "xen")),
	],
	["may be written by its group", () => chmod(path, 0o620)],
	["may be written by everyone", () => chmod(path, 0o602)],
	["is a link to another file", () => rename(path, join(folder, "b")).then(() => symlink(join(folder, "b"), path))],
])("a file that %s tells nothing, and the next outcome is remembered all the same", async (_what, spoil) => {
	await spoil();
	expect(await recall(path, circumstances)).toBeNull();
	await remember(path, circumstances, outcome);
	expect(await recall(path, circumstances)).toEqual(outcome);
});

test.runIf(process.getuid?.() === 0)("a file that belongs to another user tells nothing", async () => {
	await chown(path, 65_534, 65_534);
	expect(await recall(path, circumstances)).toBeNull();
});

test("where nothing can be kept, nothing is left and nothing fails", async () => {
	await remember(join(folder, "nowhere", "probe.json"), circumstances, outcome);
	await mkdir(join(folder, "taken"));
	await remember(join(folder, "taken"), circumstances, outcome);
	expect(await recall(join(folder, "taken"), circumstances)).toBeNull();
	expect(await readdir(folder)).toEqual(["probe.json", "taken"]);
});
