"use client";
import { useQuery } from "@tanstack/react-query";
import { format } from "date-fns";
import { useRouter } from "next/navigation";
import type { PointRow } from "../../server/views-backups.ts";
import { Field } from "../../ui/field.tsx";
import { Select } from "../../ui/select.tsx";
import { useTRPC } from "../trpc.tsx";
import { PointMarks } from "./chips.tsx";
import { consistencyWords } from "./words.ts";

/** Which of the guest's points is meant; another one is another page. */
export function PointChoice({ point }: { point: PointRow }) {
	const router = useRouter();
	const points = useQuery(useTRPC().points.list.queryOptions({ guestId: point.guest.id, pageSize: 100 }));
	const rows = points.data?.rows ?? [];
	const all = rows.some(({ id }) => id === point.id) ? rows : [point, ...rows];
	return (
		<div className="flex flex-wrap items-end gap-3">
			<Field label="Recovery point" className="min-w-0 flex-1 basis-64">
				<Select
					label="Recovery point"
					value={point.id}
					choices={all.map((one) => ({
						value: one.id,
						label: format(one.takenAt, "EEE d MMM yyyy, HH:mm"),
						note: [
							consistencyWords[one.consistency].word,
							one.repository.name,
							one.damage && "damaged",
							one.proof?.ok && "proved",
						]
							.filter(Boolean)
							.join(", "),
					}))}
					onValue={(id) => router.push(`/backups/points/${id}/restore`)}
				/>
			</Field>
			<div className="pb-2">
				<PointMarks point={point} />
			</div>
		</div>
	);
}
