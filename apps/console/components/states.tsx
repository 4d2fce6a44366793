import type { Accelerator, GuestState } from "@sterna/shared/guest";
import type { HealthState } from "@sterna/shared/health";
import type { MigrationState } from "@sterna/shared/migration";
import {
	ArrowRight,
	CircleAlert,
	CircleCheck,
	CircleDashed,
	CircleHelp,
	CirclePause,
	CircleStop,
	Eye,
	OctagonX,
	TriangleAlert,
} from "lucide-react";
import type { HostRow } from "../server/views-hosts.ts";
import { Chip } from "../ui/chip.tsx";
import { Tooltip } from "../ui/tooltip.tsx";
import { guestStateTone, healthTone, migrationStateTone, migrationStateWord } from "./words.ts";

const icon = "size-3.5 shrink-0";

const healthIcons = {
	healthy: <CircleCheck aria-hidden className={icon} />,
	watch: <Eye aria-hidden className={icon} />,
	degraded: <TriangleAlert aria-hidden className={icon} />,
	failing: <OctagonX aria-hidden className={icon} />,
	unknown: <CircleHelp aria-hidden className={icon} />,
};

export function HealthChip({ health }: { health: HealthState }) {
	return (
		<Chip tone={healthTone[health]}>
			{healthIcons[health]}
			{health}
		</Chip>
	);
}

const guestIcons = {
	running: <CircleCheck aria-hidden className={icon} />,
	starting: <CircleDashed aria-hidden className={icon} />,
	stopping: <CircleDashed aria-hidden className={icon} />,
	paused: <CirclePause aria-hidden className={icon} />,
	stopped: <CircleStop aria-hidden className={icon} />,
	crashed: <CircleAlert aria-hidden className={icon} />,
	unknown: <CircleHelp aria-hidden className={icon} />,
};

/** A guest's state; while it moves, that it moves. */
export function GuestStateChip({ state, moving = false }: { state: GuestState; moving?: boolean }) {
	if (moving) {
		return (
			<Chip tone="accent">
				<ArrowRight aria-hidden className={icon} />
				{state === "running" ? "moving" : `${state}, moving`}
			</Chip>
		);
	}
	return (
		<Chip tone={guestStateTone[state]}>
			{guestIcons[state]}
			{state}
		</Chip>
	);
}

export function MigrationStateChip({ state }: { state: MigrationState }) {
	return <Chip tone={migrationStateTone[state]}>{migrationStateWord[state]}</Chip>;
}

/** Said only when it is not plain: a host that is offline, revoked, or not in normal service; `evacuated` is maintenance with no guest left. */
export function HostServiceChips({ connection, mode, emptyIn }: Pick<HostRow, "connection" | "mode" | "emptyIn">) {
	const service = mode === "maintenance" && emptyIn.kind === "empty" ? "evacuated" : mode;
	return (
		<>
			{connection !== "online" && <Chip tone={connection === "offline" ? "warn" : "bad"}>{connection}</Chip>}
			{service !== "normal" && <Chip tone="accent">{service}</Chip>}
		</>
	);
}

const emulation: Partial<Record<Accelerator, { word: string; meaning: string }>> = {
	tcg: {
		word: "software emulation",
		meaning:
			"The processor's virtualization could not be used, so every instruction is translated. This is several times slower and isolates less than KVM: for trials only.",
	},
	simulated: {
		word: "simulated",
		meaning: "No machine runs here. The agent plays one for scale and fault tests; nothing is computed or stored.",
	},
};

/** Says what is not a real machine, or not at full speed; nothing for KVM. */
export function AcceleratorBadge({ accelerator }: { accelerator: Accelerator | null }) {
	const said = accelerator ? emulation[accelerator] : undefined;
	if (!said) return null;
	return (
		<Tooltip text={said.meaning}>
			<button type="button" className="rounded-full">
				<Chip tone="watch">{said.word}</Chip>
				<span className="sr-only">: {said.meaning}</span>
			</button>
		</Tooltip>
	);
}

/** Stands wherever a host is named that only plays one. */
export function SimulatedBadge({ simulated }: { simulated: boolean }) {
	return simulated ? <AcceleratorBadge accelerator="simulated" /> : null;
}
