"use client";
import { formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use, useState } from "react";
import { BackUpNow } from "../../../../../components/backups/back-up-now.tsx";
import { ProtectionChip } from "../../../../../components/backups/chips.tsx";
import { DrillDialog } from "../../../../../components/backups/drill-dialog.tsx";
import { LatestRestores } from "../../../../../components/backups/latest-restores.tsx";
import { LatestRuns } from "../../../../../components/backups/latest-runs.tsx";
import { PointCalendarPanel } from "../../../../../components/backups/point-calendar.tsx";
import { RecoveryTrend } from "../../../../../components/backups/recovery-trend.tsx";
import { protectionTone } from "../../../../../components/backups/words.ts";
import { GuestLinks } from "../../../../../components/guest-links.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { useRoleRefusal } from "../../../../../components/me.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { TagEditor } from "../../../../../components/tag-editor.tsx";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { statement } from "../../../../../components/words.ts";
import type { Protection } from "../../../../../server/views-backups.ts";
import { Button } from "../../../../../ui/button.tsx";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Age, DayTime } from "../../../../../ui/time.tsx";

/** Could I bring this guest back, from when, how fast. */
export default function GuestBackupsPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const protection = useQuery(useTRPC().protection.get.queryOptions({ guestId: id }));
	useLive(["protection"]);
	return (
		<Answer of={protection} noun={{ name: "guest", href: "/guests", all: "All guests" }}>
			{(data) => <GuestBackups protection={data} askedAt={protection.dataUpdatedAt} />}
		</Answer>
	);
}

function GuestBackups({ protection, askedAt }: { protection: Protection; askedAt: number }) {
	const { guest, jobs } = protection;
	const roleRefusal = useRoleRefusal("operator");
	const [drilling, setDrilling] = useState(false);
	return (
		<>
			<title>{`Backups of ${guest.name} · Sterna`}</title>
			<Headline
				tone={protectionTone[protection.state]}
				title={`Backups of ${guest.name}`}
				marks={<ProtectionChip state={protection.state} />}
				lead={statement(protection.sentence)}
				actions={
					<>
						<BackUpNow guest={guest} />
						<Button
							disabledReason={roleRefusal ?? (protection.newestPoint ? null : "there is no recovery point to prove")}
							onClick={() => setDrilling(true)}
						>
							Prove by a drill
						</Button>
					</>
				}
			/>
			<GuestLinks guestId={guest.id} />
			<Figures
				figures={[
					{
						label: "Would lose now",
						value:
							protection.recoveryPointAgeMs === null ? (
								"everything"
							) : (
								<Age ageMs={protection.recoveryPointAgeMs} askedAt={askedAt} />
							),
						note: protection.newestPoint ? (
							<Link href={`/backups/points/${protection.newestPoint.id}`} className="link">
								newest point
							</Link>
						) : (
							"no recovery point"
						),
					},
					{
						label: "Back in",
						value: protection.measuredRecoveryMs === null ? "–" : formatDuration(protection.measuredRecoveryMs),
						note:
							protection.measuredRecoveryAt === null ? (
								"not measured yet"
							) : (
								<>
									measured <DayTime at={protection.measuredRecoveryAt} />
								</>
							),
					},
					{ label: "Recovery points", value: protection.points },
					{
						label: "Next run",
						value: protection.nextRunAt === null ? "none" : <DayTime at={protection.nextRunAt} />,
						note: jobs.length === 0 ? "no job takes it" : jobs.map(({ name }) => name).join(", "),
					},
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<div className="flex min-w-0 flex-col gap-[18px]">
					<PointCalendarPanel guest={guest} />
					<LatestRuns title="Runs" of={{ guestId: guest.id }} more={`/backups/runs?guest=${guest.id}`} />
				</div>
				<div className="flex min-w-0 flex-col gap-[18px]">
					<TagEditor guest={guest} tags={protection.tags} />
					<RecoveryTrend guestId={guest.id} />
					<LatestRestores of={{ guestId: guest.id }} />
				</div>
			</div>
			{drilling && <DrillDialog guest={guest} onClose={() => setDrilling(false)} />}
		</>
	);
}
