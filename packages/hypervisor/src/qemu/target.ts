import { rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { AcceptedGuest, AcceptRequest } from "../hypervisor.ts";
import { eventTimeMs } from "../qmp/client.ts";
import { keepRecord, label, nodeOf, type QemuGuest, volumeIndex } from "./guest.ts";
import { migrationCapabilities } from "./source.ts";

const blockCommandMs = 10_000;

/** Makes a process that was started with `-incoming defer -S` ready to be filled. */
export async function openForCopies(guest: QemuGuest, request: AcceptRequest): Promise<AcceptedGuest> {
	const { monitor, paths } = guest;
	await monitor.execute("migrate-set-capabilities", {
		capabilities: migrationCapabilities.map((capability) => ({ capability, state: true })),
	});
	const diskSocket = request.copiedVolumes.length > 0 ? paths.disk : null;
	if (diskSocket !== null) {
		const addr = { type: "unix", data: { path: diskSocket } } as const;
		await monitor.execute("nbd-server-start", { addr }, { timeoutMs: blockCommandMs });
	}
	for (const volumeId of request.copiedVolumes) {
		await monitor.execute(
			"block-export-add",
			{
				type: "nbd",
				id: `export${volumeIndex(guest, volumeId)}`,
				"node-name": nodeOf(guest, volumeId),
				name: volumeId,
				writable: true,
			},
			{ timeoutMs: blockCommandMs },
		);
	}
	// With its own error kept, a failed target can say why; releases before 9.1 end the process instead.
	const { major, minor } = monitor.version;
	const keepsError = major > 9 || (major === 9 && minor >= 1);
	await monitor.execute("migrate-incoming", {
		uri: `unix:${paths.memory}`,
		...(keepsError ? { "exit-on-error": false } : {}),
	});
	return { memorySocket: paths.memory, diskSocket };
}

/** @throws {SternaError} `unavailable` with QEMU's reason when the copy has failed. */
export async function isLoaded(guest: QemuGuest): Promise<boolean> {
	const info = await guest.monitor.execute("query-migrate", {});
	if (info.status === "failed" || info.status === "cancelled") {
		const reason = info["error-desc"] ?? "the source went away";
		throw new SternaError("unavailable", `the copy of ${label(guest)} did not arrive: ${reason}`);
	}
	const { status, running } = await guest.monitor.execute("query-status", {});
	if (running || !guest.record.incoming) return true;
	return info.status === "completed" && status !== "inmigrate";
}

/** The one place where a moved guest begins to run. Repeating it changes nothing. */
export async function release(guest: QemuGuest): Promise<{ resumedAt: number }> {
	const { monitor, paths } = guest;
	const { running } = await monitor.execute("query-status", {});
	if (running) {
		await forgetIncoming(guest);
		return { resumedAt: Date.now() };
	}
	if (!(await isLoaded(guest))) throw new SternaError("wrong_state", `${label(guest)} is not here completely yet`);
	await monitor.execute("nbd-server-stop", {}, { timeoutMs: blockCommandMs }).catch(() => undefined);
	const resumed = monitor.waitFor((event) => (event.event === "RESUME" ? eventTimeMs(event) : undefined), {
		timeoutMs: 5000,
		reason: "resume",
	});
	try {
		await monitor.execute("cont", {}, { timeoutMs: blockCommandMs });
		return { resumedAt: await resumed.value };
	} finally {
		resumed.stop();
		await forgetIncoming(guest);
		await rm(paths.disk, { force: true });
		await rm(paths.memory, { force: true });
	}
}

async function forgetIncoming(guest: QemuGuest): Promise<void> {
	if (!guest.record.incoming) return;
	await keepRecord(guest, { incoming: false });
}
