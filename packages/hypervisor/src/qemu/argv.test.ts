import { readFileSync } from "node:fs";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { VolumeId } from "@sterna/shared/ids";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { StartRequest } from "../hypervisor.ts";
import { type ArgvInput, qemuArgv } from "./argv.ts";
import { guestPaths } from "./paths.ts";

const Golden = z.object({
	spec: GuestSpec,
	volumes: z.array(z.object({ volumeId: VolumeId, path: z.string() })),
	kernelPath: z.string().default(""),
	initrdPath: z.string().default(""),
	nics: z.array(
		z.discriminatedUnion("kind", [
			z.object({ kind: z.literal("bridge"), bridge: z.string() }),
			z.object({ kind: z.literal("user") }),
		]),
	),
});

function golden(name: string): StartRequest {
	const text = readFileSync(join(import.meta.dirname, "golden", `${name}.json`), "utf8");
	const { kernelPath, initrdPath, ...request } = Golden.parse(JSON.parse(text));
	return { ...request, ...(kernelPath ? { kernelPath } : {}), ...(initrdPath ? { initrdPath } : {}) };
}

function inputFor(request: StartRequest, change: Partial<ArgvInput> = {}): ArgvInput {
	return {
		request,
		paths: guestPaths("/run/sterna", request.spec.id),
		accelerator: "kvm",
		machine: "pc-q35-10.0",
		taps: request.nics.map((nic, index) => (nic.kind === "bridge" ? `st0123456789n${index}` : null)),
		directIo: request.volumes.map(() => true),
		seats: [],
		sources: [],
		incoming: false,
		...change,
	};
}

describe("the arguments, one per line, as they were agreed", () => {
	const cases: [string, string, Partial<ArgvInput>][] = [
		["disk", "disk", {}],
		["disk", "disk-incoming", { incoming: true }],
		["kernel", "kernel", { accelerator: "tcg", directIo: [false] }],
	];
	test.each(cases)("%s → %s.argv", async (request, file, change) => {
		const text = `${qemuArgv(inputFor(golden(request), change)).join("\n")}\n`;
		await expect(text).toMatchFileSnapshot(join(import.meta.dirname, "golden", `${file}.argv`));
	});
});

test("a target has its source's arguments, and beyond them only that it waits", () => {
	const request = golden("disk");
	const source = qemuArgv(inputFor(request));
	expect(qemuArgv(inputFor(request, { incoming: true }))).toEqual([...source, "-incoming", "defer", "-S"]);
});

test("no text of a person becomes an option of its own", () => {
	const request = golden("kernel");
	const plain = qemuArgv(inputFor(request));
	fc.assert(
		fc.property(fc.string({ unit: fc.constantFrom(..."-,=/x {}\"'$`;:\\"), maxLength: 60 }), (text) => {
			const [volume] = request.volumes;
			if (!volume) throw new Error("the golden guest has no volume");
			const spec = { ...request.spec, boot: { from: "kernel", kernel: "vmlinuz", commandLine: text } as const };
			const volumes = [{ ...volume, path: `/srv/${text}` }];
			const argv = qemuArgv(inputFor({ ...request, spec, volumes }));
			expect(argv.length).toBe(plain.length);
			expect(argv.filter((_, index) => argv[index] !== plain[index]).length).toBeLessThanOrEqual(2);
			expect(argv[argv.indexOf("-append") + 1]).toBe(text);
			const files = argv.filter((argument) => argument.includes('"filename"')).map((argument) => JSON.parse(argument));
			expect(files.map(({ filename }) => filename)).toContain(`/srv/${text}`);
		}),
	);
});

const base = golden("disk");
const badSpecs: [string, object][] = [
	["a name that is an option", { name: "-drive" }],
	["a name with a comma", { name: "x,file=/etc/shadow" }],
	// biome-ignore lint/suspicious/noTemplateCurlyInString: what a shell would expand is the point
	["a name for a shell", { name: "${IFS}`reboot`" }],
	["a name that is a path", { name: "../../etc/passwd" }],
	...[-1, 0, 2 ** 53, Number.POSITIVE_INFINITY, "8G", Number.NaN, 33 * 1024 * 1024 + 1].map(
		(memoryBytes): [string, object] => [`a memory of ${memoryBytes}`, { memoryBytes }],
	),
	...[0, 100_000, 1.5, -1].map((vcpus): [string, object] => [`${vcpus} vCPUs`, { vcpus }]),
	["a NIC with a multicast address", { nics: [{ mac: "53:54:00:12:34:56", network: "lan" }] }],
	["two NICs with one address", { nics: [base.spec.nics[0], base.spec.nics[0]] }],
	["a field that nobody knows", { qemuArguments: ["-drive"] }],
];
test.each(badSpecs)("%s is refused", (_what, change) => {
	const spec = { ...base.spec, ...change };
	expect(() => qemuArgv(inputFor({ ...base, spec }))).toThrow(z.ZodError);
});

const badRequests: [string, Partial<ArgvInput> & { request?: StartRequest }, string][] = [
	["a machine with an option in it", { machine: "pc-q35-10.0,accel=kvm" }, "incompatible"],
	["a machine without version", { machine: "q35" }, "incompatible"],
	["volumes in another order than the spec's", { request: { ...base, volumes: base.volumes.toReversed() } }, "invalid"],
	["a volume too few", { request: { ...base, volumes: base.volumes.slice(1) } }, "invalid"],
	["a NIC too few", { request: { ...base, nics: [] } }, "invalid"],
	[
		"a relative path",
		{ request: { ...base, volumes: base.volumes.map((volume) => ({ ...volume, path: "nbd://example.org/x" })) } },
		"invalid",
	],
	[
		"a path with a null byte",
		{ request: { ...base, volumes: base.volumes.map((volume) => ({ ...volume, path: "/srv/a\0b" })) } },
		"invalid",
	],
	["a kernel that is not said", { request: { ...golden("kernel"), kernelPath: "" } }, "invalid"],
];
test.each(badRequests)("%s is refused", (_what, change, code) => {
	expect(() => qemuArgv(inputFor(change.request ?? base, change))).toThrow(expect.objectContaining({ code }));
});
