"use client";
import { Remark } from "@sterna/shared/names";
import { formatDuration } from "@sterna/shared/units";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import Link from "next/link";
import { useState } from "react";
import { toast } from "sonner";
import type { FindingView } from "../server/views-hosts.ts";
import { Button } from "../ui/button.tsx";
import { Chip } from "../ui/chip.tsx";
import { TextField } from "../ui/field.tsx";
import { Time } from "../ui/time.tsx";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { HealthChip } from "./states.tsx";
import { useTRPC } from "./trpc.tsx";
import { sensorWord } from "./words.ts";

interface FindingCardProps {
	finding: FindingView;
	/** Names the host; left out on the host's own page. */
	withHost?: boolean;
}

/** One thing that is wrong: which part, the reading against the rule, since when, what was done, and the raw words. */
export function FindingCard({ finding, withHost = false }: FindingCardProps) {
	const [releasing, setReleasing] = useState(false);
	const roleRefusal = useRoleRefusal("operator");
	const reading = `${amount(finding.value)} ${finding.unit}`.trim();
	return (
		<article aria-label={`${finding.component} on ${finding.host.name}`} className="py-3.5 first:pt-0 last:pb-0">
			<div className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2">
				<div className="min-w-0">
					<h3 className="flex flex-wrap items-center gap-2 font-semibold wrap-anywhere">
						{finding.component}
						<HealthChip health={finding.severity} />
						{finding.state !== "open" && <Chip>{finding.state}</Chip>}
						{!finding.relevant && <Chip>carries nothing</Chip>}
					</h3>
					<p className="mt-0.5 text-soft">
						{sensorWord[finding.sensor]}
						{withHost && (
							<>
								{" on "}
								<Link href={`/hosts/${finding.host.id}`} className="link">
									{finding.host.name}
								</Link>
							</>
						)}
						, since <Time at={finding.firstSeenAt} />, last seen <Time at={finding.lastSeenAt} />
					</p>
				</div>
				<Button
					small
					disabledReason={
						finding.state === "released" ? `released by ${finding.releasedBy ?? "someone"} already` : roleRefusal
					}
					onClick={() => setReleasing(true)}
				>
					Release
				</Button>
			</div>
			<dl className="mt-2 grid grid-cols-2 gap-x-4 gap-y-2 rounded-lg bg-sunken px-3 py-2.5 sm:grid-cols-4">
				<Fact name="Reading" value={reading} />
				<Fact name="Threshold" value={amount(finding.threshold)} />
				<Fact name="Window" value={finding.windowMs === 0 ? "at once" : formatDuration(finding.windowMs)} />
				<Fact name="Done about it" value={finding.action ?? "nothing yet"} />
				<Fact name="Rule" value={finding.rule} wide />
			</dl>
			<details className="mt-2">
				<summary className="min-h-6 w-fit cursor-pointer text-sm text-accent">Raw reading</summary>
				<pre className="mt-1 rounded-lg border border-line bg-sunken p-3 font-mono text-sm whitespace-pre-wrap wrap-anywhere">
					{finding.raw}
				</pre>
			</details>
			{finding.state === "released" && (
				<p className="mt-1 text-sm text-soft">
					Released by {finding.releasedBy ?? "someone"}
					{finding.releasedAt !== null && (
						<>
							{", "}
							<Time at={finding.releasedAt} />
						</>
					)}
				</p>
			)}
			{releasing && <ReleaseDialog finding={finding} onClose={() => setReleasing(false)} />}
		</article>
	);
}

function Fact({ name, value, wide = false }: { name: string; value: string; wide?: boolean }) {
	return (
		<div className={wide ? "min-w-0 col-span-2 sm:col-span-4" : "min-w-0"}>
			<dt className="text-sm text-soft">{name}</dt>
			<dd className="wrap-anywhere">{value}</dd>
		</div>
	);
}

function amount(value: number): string {
	return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

function ReleaseDialog({ finding, onClose }: { finding: FindingView; onClose: () => void }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [reason, setReason] = useState("");
	const parsed = Remark.safeParse(reason);
	const release = useMutation(
		trpc.hosts.releaseFinding.mutationOptions({
			onSuccess: () => {
				toast.success(`${finding.component} on ${finding.host.name} is released`);
				void queryClient.invalidateQueries(trpc.health.pathFilter());
				void queryClient.invalidateQueries(trpc.hosts.pathFilter());
				onClose();
			},
			onError: (error) => toastProblem("The finding was not released", error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Release ${finding.component} on ${finding.host.name}`}
			lead="Say that the part was replaced, or that the finding was wrong."
			plan={{
				steps: [
					"The finding no longer counts against the host; it stays in the log with your reason.",
					"When the sensor sees the same trouble again, it comes back.",
				],
				undo: "not needed: a sensor that still sees the trouble reports it anew.",
			}}
			confirm="Release"
			confirmRefusal={
				reason.trim() === ""
					? "a reason is needed"
					: parsed.success
						? null
						: "the reason has characters that cannot be kept"
			}
			pending={release.isPending}
			onConfirm={() => release.mutate({ hostId: finding.host.id, findingId: finding.id, reason: reason.trim() })}
		>
			<TextField
				label="Reason"
				hint="For example: DIMM replaced, tested for 2 h."
				value={reason}
				onValue={setReason}
				maxLength={500}
				autoFocus
			/>
		</PlanDialog>
	);
}
