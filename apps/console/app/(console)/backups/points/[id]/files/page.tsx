"use client";
import { formatBytes } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { use } from "react";
import { FileSystemChoice } from "../../../../../../components/backups/file-system-choice.tsx";
import { FolderView } from "../../../../../../components/backups/folder-view.tsx";
import { useRoleRefusal } from "../../../../../../components/me.tsx";
import { Answer } from "../../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../../components/trpc.tsx";
import type { PointView } from "../../../../../../server/views-backups.ts";
import { buttonClass } from "../../../../../../ui/button-class.ts";
import { Empty } from "../../../../../../ui/empty.tsx";
import { Field } from "../../../../../../ui/field.tsx";
import { Headline } from "../../../../../../ui/headline.tsx";
import { Notice } from "../../../../../../ui/notice.tsx";
import { Select } from "../../../../../../ui/select.tsx";
import { DayTime } from "../../../../../../ui/time.tsx";

/** What files did this guest have then, and let me have one. Where the reader is, the address keeps. */
export default function PointFilesPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const point = useQuery(useTRPC().points.get.queryOptions({ id }));
	return (
		<Answer of={point} noun={{ name: "recovery point", href: "/backups", all: "All guests" }}>
			{(data) => <Files point={data} />}
		</Answer>
	);
}

function Files({ point }: { point: PointView }) {
	const router = useRouter();
	const search = useSearchParams();
	const refusal = useRoleRefusal("operator");
	const volume = point.volumes.find(({ volumeId }) => volumeId === search.get("disk")) ?? point.volumes[0];
	const device = search.get("device");
	const folder = search.get("folder") ?? "/";
	const go = (place: { disk?: string; device?: string | null; folder?: string }) => {
		const next = new URLSearchParams();
		const disk = place.disk ?? volume?.volumeId;
		const where = place.device === undefined ? device : place.device;
		if (disk) next.set("disk", disk);
		if (where) next.set("device", where);
		if (place.folder && place.folder !== "/") next.set("folder", place.folder);
		router.push(`/backups/points/${point.id}/files?${next}`);
	};
	return (
		<>
			<title>{`Files of ${point.guest.name} · Sterna`}</title>
			<Headline
				title={
					<>
						Files of {point.guest.name}, <DayTime at={point.takenAt} />
					</>
				}
				lead="Read from the repository; nothing in it can be changed from here, and the guest is not touched."
				actions={
					<Link href={`/backups/points/${point.id}`} className={buttonClass()}>
						The recovery point
					</Link>
				}
			/>
			{refusal ? (
				<Notice tone="watch" title={`Reading a guest’s files is not for everybody: ${refusal}.`} />
			) : !volume ? (
				<Empty title="This guest had no disk.">There are no files in its recovery point.</Empty>
			) : (
				<div className="flex flex-col gap-[18px]">
					<div className="grid max-w-[620px] gap-4 sm:grid-cols-2">
						<Field label="Disk">
							<Select
								label="Disk"
								value={volume.volumeId}
								choices={point.volumes.map(({ volumeId, sizeBytes }, index) => ({
									value: volumeId,
									label: `Disk ${index + 1}, ${formatBytes(sizeBytes)}`,
								}))}
								onValue={(disk) => go({ disk, device: null })}
							/>
						</Field>
						<FileSystemChoice
							pointId={point.id}
							volumeId={volume.volumeId}
							device={device}
							onDevice={(one) => go({ device: one })}
						/>
					</div>
					{device && (
						<FolderView
							pointId={point.id}
							volumeId={volume.volumeId}
							device={device}
							folder={folder}
							onFolder={(one) => go({ folder: one })}
						/>
					)}
				</div>
			)}
		</>
	);
}
