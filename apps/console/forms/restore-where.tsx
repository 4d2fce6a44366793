"use client";
import { formatBytes } from "@sterna/shared/units";
import { useState } from "react";
import { GuestPick } from "../components/backups/guest-pick.tsx";
import { sentence, statement } from "../components/words.ts";
import type { RestorePlan } from "../server/views-backups.ts";
import { Check } from "../ui/check.tsx";
import { Chip } from "../ui/chip.tsx";
import { Field, TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { Select } from "../ui/select.tsx";
import type { RestorePart } from "./restore.tsx";

/** Where a restore puts what it brings back. */
export function RestoreWhere(props: RestorePart & { hosts: RestorePlan["hosts"] }) {
	const { draft, set, point } = props;
	return (
		<Panel title="Where">
			{(draft.way === "instant" || draft.way === "new") && <NewGuest {...props} />}
			{draft.way === "over" && (
				<div className="flex flex-col">
					<p className="mb-2 text-soft">On the host where {point.guest.name} is now, while it is stopped.</p>
					<Check
						checked={draft.atOnce}
						label="Let it run at once"
						note="It starts from the repository, and its data streams in behind it."
						onChange={(atOnce) => set({ atOnce })}
					/>
					{!draft.atOnce && (
						<Check
							checked={draft.start}
							label="Start it when its disks are there"
							onChange={(start) => set({ start })}
						/>
					)}
				</div>
			)}
			{draft.way === "disk" && <OneDisk {...props} />}
		</Panel>
	);
}

/** As many as a person compares; the others are found by their names. */
const shownHosts = 24;

function NewGuest({ draft, set, hosts }: RestorePart & { hosts: RestorePlan["hosts"] }) {
	const [filter, setFilter] = useState("");
	const found = hosts.filter(({ host }) => host.name.toLowerCase().includes(filter.trim().toLowerCase()));
	const shown = found.filter(({ host }, index) => index < shownHosts || host.id === draft.hostId);
	return (
		<div className="flex flex-col gap-4">
			<TextField
				label="Name of the new guest"
				hint="It gets a new identity: the old one may go on running."
				value={draft.name}
				onValue={(name) => set({ name })}
				autoComplete="off"
				maxLength={63}
			/>
			<div>
				<Check
					checked={draft.connectNetworks}
					label="Connect its network cards"
					note="Two guests with the same address inside harm each other: leave it out while the old one runs."
					onChange={(connectNetworks) => set({ connectNetworks })}
				/>
				{draft.way === "new" && (
					<Check checked={draft.start} label="Start it when its disks are there" onChange={(start) => set({ start })} />
				)}
			</div>
			<fieldset>
				<legend className="mb-1 text-sm font-medium">Host</legend>
				{hosts.length > shownHosts && (
					<TextField
						label="Find a host by name"
						hint={found.length > shown.length ? `${found.length - shown.length} more are not shown.` : null}
						fieldClassName="mb-2"
						value={filter}
						onValue={setFilter}
						autoComplete="off"
					/>
				)}
				<div className="flex flex-col gap-2">
					<RadioCard
						name="host"
						checked={draft.hostId === null}
						onChoose={() => set({ hostId: null })}
						title="Best place"
					>
						The planner chooses and says why.
					</RadioCard>
					{shown.map(({ host, chosen, refusals }) => (
						<RadioCard
							key={host.id}
							name="host"
							checked={draft.hostId === host.id}
							onChoose={() => set({ hostId: host.id })}
							title={
								<>
									{host.name}
									{chosen && <Chip tone="ok">proposed</Chip>}
								</>
							}
						>
							{refusals.length === 0
								? "possible"
								: refusals
										.map(({ message, cure }) => `${statement(message)}${cure ? ` ${sentence(cure)}` : ""}`)
										.join(" ")}
						</RadioCard>
					))}
				</div>
			</fieldset>
		</div>
	);
}

function OneDisk({ draft, set, point }: RestorePart) {
	return (
		<div className="flex flex-col gap-4">
			<Field label="Disk of the point">
				<Select
					label="Disk of the point"
					value={draft.volumeId}
					choices={point.volumes.map(({ volumeId, sizeBytes }, index) => ({
						value: volumeId,
						label: `Disk ${index + 1}, ${formatBytes(sizeBytes)}`,
					}))}
					onValue={(volumeId) => set({ volumeId })}
				/>
			</Field>
			<GuestPick
				label="Into the guest"
				chosen={draft.intoGuestId}
				first={point.guest}
				onGuest={(intoGuestId) => set({ intoGuestId })}
			/>
		</div>
	);
}
