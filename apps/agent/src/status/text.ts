import { healthOf } from "@sterna/shared/health";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import type { Status } from "./read.ts";

/** The status as a person reads it on a terminal. Pure. */
export function statusText(status: Status, now: number): string {
	return `${(status.agent === "running" ? running(status, now) : notRunning(status)).join("\n")}\n`;
}

function running({ status, host }: Extract<Status, { agent: "running" }>, now: number): string[] {
	const { facts, guests, findings, migrations } = host;
	const { console } = status;
	const since = formatDuration(Math.max(0, now - console.since));
	return [
		`${facts.name}: agent ${status.agentVersion} running for ${formatDuration(Math.max(0, now - status.startedAt))} (pid ${status.pid})`,
		console.connected
			? `Console ${console.address}:${console.port}: connected for ${since}`
			: `Console ${console.address}:${console.port}: not connected for ${since}${console.problem ? ` (${console.problem})` : ""}`,
		`Guests run on ${facts.probe.accelerator}, QEMU ${facts.qemuVersion}; ${facts.cpuThreads} CPU threads, ${formatBytes(facts.memoryBytes)}`,
		`Health: ${healthOf(findings)}`,
		...findings.map((finding) => `  ${finding.severity}: ${finding.component}: ${finding.rule}`),
		"",
		...table(
			["GUEST", "STATE", "ROLE", "EPOCH", ""],
			guests.map((guest) => [guest.name, guest.state, guest.role, String(guest.epoch), guest.remark ?? ""]),
		),
		...migrations
			.filter(({ endedAt }) => endedAt === null)
			.map(({ migrationId, phase, state }) => `Migration ${migrationId}: ${state}, ${phase}`),
		...damage(status.damagedGuests),
	];
}

function notRunning({ name, console, guests, damagedGuests }: Extract<Status, { agent: "notRunning" }>): string[] {
	return [
		`${name ?? "This server"}: the agent is not running`,
		console ? `Console ${console}` : "It has not joined a console: sterna-agent join <join string>",
		"This is what its folders say; whether a guest's process runs is seen by the agent only.",
		"",
		...table(
			["GUEST", "DESIRED", "OWNERSHIP"],
			guests.map((guest) => [guest.name, guest.desired, guest.ownership]),
		),
		...damage(damagedGuests),
	];
}

function damage(guests: readonly { guestId: string; reason: string }[]): string[] {
	return guests.map(({ guestId, reason }) => `Damaged: guest ${guestId}: ${reason}`);
}

function table(head: string[], rows: string[][]): string[] {
	if (rows.length === 0) return ["No guests."];
	const all = [head, ...rows];
	const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
	return all.map((row) =>
		row
			.map((cell, column) => cell.padEnd(widths[column] ?? 0))
			.join("  ")
			.trimEnd(),
	);
}
