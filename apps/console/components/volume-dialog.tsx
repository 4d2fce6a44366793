"use client";
import { newId, VolumeId } from "@sterna/shared/ids";
import { formatBytes, GiB, MiB } from "@sterna/shared/units";
import { type Volume, VolumeSizeBytes } from "@sterna/shared/volume";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { toast } from "sonner";
import type { GuestView } from "../server/views-guests.ts";
import { Field, TextField } from "../ui/field.tsx";
import { Notice } from "../ui/notice.tsx";
import { Select } from "../ui/select.tsx";
import { type Plan, PlanDialog } from "./plan-dialog.tsx";
import { problemOf, toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

export type VolumeChange =
	| { kind: "attach" }
	| { kind: "grow"; volume: Volume; name: string }
	| { kind: "move"; volume: Volume; name: string };

interface VolumeDialogProps {
	guest: GuestView;
	change: VolumeChange;
	onClose: () => void;
}

/** A change to a guest's disks: what it will do, with the size or pool that it needs. */
export function VolumeDialog({ guest, change, onClose }: VolumeDialogProps) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const host = useQuery(trpc.hosts.get.queryOptions({ hostId: guest.host.id }));
	const oldBytes = change.kind === "attach" ? 0 : change.volume.sizeBytes;
	const [gib, setGib] = useState(
		change.kind === "attach" ? "10" : String(Math.max(1, Math.ceil((oldBytes / GiB) * 2))),
	);
	const [chosen, setChosen] = useState<string | null>(null);
	const pools = (host.data?.pools ?? []).filter(({ name }) => change.kind !== "move" || name !== change.volume.pool);
	const pool = pools.find(({ name }) => name === chosen) ?? pools[0];
	// One id for one wish: asked for again after a lost answer, it is the same disk.
	const wish = useRef<{ text: string; volumeId: VolumeId } | null>(null);
	const wishedId = (text: string) => {
		if (wish.current?.text !== text) wish.current = { text, volumeId: newId(VolumeId) };
		return wish.current.volumeId;
	};
	const size = VolumeSizeBytes.safeParse(Math.round((Number(gib) * GiB) / MiB) * MiB);
	const options = {
		onSuccess: () => {
			toast.success(`${guest.name}: ${outcome[change.kind]}`);
			void queryClient.invalidateQueries(trpc.guests.pathFilter());
			onClose();
		},
		onError: (error: unknown) =>
			toastProblem(
				isUnknown(error)
					? `Whether the disks of ${guest.name} changed is not known`
					: `The disks of ${guest.name} stay as they are`,
				error,
			),
	};
	const attach = useMutation(trpc.guests.attachVolume.mutationOptions(options));
	const grow = useMutation(trpc.guests.growVolume.mutationOptions(options));
	const move = useMutation(trpc.guests.moveVolume.mutationOptions(options));
	const sizeError =
		change.kind === "move"
			? null
			: gib.trim() === "" || !size.success
				? "GiB, from 0.001 to 65536"
				: change.kind === "grow" && size.data <= oldBytes
					? `more than the ${formatBytes(oldBytes)} that it has`
					: null;
	const poolRefusal = change.kind === "grow" || pool ? null : "there is no other pool on its host";
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={titleOf(change, guest.name)}
			plan={host.data && planOf(change, guest, pool?.name ?? "a pool", size.success ? size.data : oldBytes)}
			planError={host.error}
			confirm={verbs[change.kind]}
			confirmRefusal={sizeError ?? poolRefusal}
			pending={attach.isPending || grow.isPending || move.isPending}
			onConfirm={() => {
				if (change.kind === "grow" && size.success) {
					grow.mutate({ id: guest.id, volumeId: change.volume.id, sizeBytes: size.data });
				} else if (change.kind === "attach" && pool && size.success) {
					const disk = { pool: pool.name, sizeBytes: size.data };
					attach.mutate({ id: guest.id, ...disk, volumeId: wishedId(`${disk.sizeBytes} in ${disk.pool}`) });
				} else if (change.kind === "move" && pool) {
					move.mutate({ id: guest.id, volumeId: change.volume.id, pool: pool.name });
				}
			}}
		>
			{move.isPending && (
				<Notice
					tone="accent"
					title={`The disk is being copied to ${pool?.name ?? "its new pool"}; ${guest.name} goes on.`}
				>
					<p className="text-soft">
						{formatBytes(oldBytes)} at most. Closing this window does not stop it; its pool under Disks tells when it is
						there.
					</p>
				</Notice>
			)}
			<div className="grid gap-4 sm:grid-cols-2">
				{change.kind !== "move" && (
					<TextField label="Size" unit="GiB" inputMode="decimal" error={sizeError} value={gib} onValue={setGib} />
				)}
				{change.kind !== "grow" && (
					<Field label="Pool" error={host.data ? poolRefusal : null}>
						<Select
							label="Pool"
							value={pool?.name ?? ""}
							choices={pools.map((one) => ({
								value: one.name,
								label: one.name,
								note: `${one.kind}, ${formatBytes(one.freeBytes)} free`,
							}))}
							onValue={setChosen}
						/>
					</Field>
				)}
			</div>
		</PlanDialog>
	);
}

/** No answer came, so the change may have been made all the same. */
function isUnknown(error: unknown): boolean {
	return ["unavailable", "timeout"].includes(problemOf(error).code);
}

const outcome = { attach: "a disk was added", grow: "the disk has grown", move: "the disk has moved" };
const verbs = { attach: "Add the disk", grow: "Grow the disk", move: "Move the disk" };

function titleOf(change: VolumeChange, guestName: string): string {
	return change.kind === "attach"
		? `Add a disk to ${guestName}`
		: `${change.kind === "grow" ? "Grow" : "Move"} ${change.name.toLowerCase()} of ${guestName}`;
}

function planOf(change: VolumeChange, guest: GuestView, pool: string, sizeBytes: number): Plan {
	const runs =
		guest.state === "running" ? `${guest.name} runs on.` : `${guest.name} does not run; it finds it at its next start.`;
	switch (change.kind) {
		case "attach":
			return {
				steps: [`An empty disk of ${formatBytes(sizeBytes)} is made in ${pool} and plugged in.`, runs],
				undo: "the disk stays until the guest is deleted; unmount it inside.",
			};
		case "grow":
			return {
				steps: [
					`The disk becomes ${formatBytes(sizeBytes)}; what is on it stays.`,
					"The file system inside has to be grown by the guest itself.",
					runs,
				],
				undo: "a disk cannot be made smaller again.",
			};
		case "move":
			return {
				steps: [
					`The disk is copied to ${pool} while the guest writes, then the guest goes on there.`,
					runs,
					"The record of changes moves along: the next backup reads changes only.",
				],
				expect: [{ label: "To copy, at most", value: formatBytes(change.volume.sizeBytes) }],
				undo: "move it back.",
			};
	}
}
