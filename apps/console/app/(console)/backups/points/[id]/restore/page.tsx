"use client";
import { useQuery } from "@tanstack/react-query";
import { use } from "react";
import { Answer } from "../../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../../components/trpc.tsx";
import { RestoreForm } from "../../../../../../forms/restore.tsx";
import { Headline } from "../../../../../../ui/headline.tsx";
import { DayTime } from "../../../../../../ui/time.tsx";

/** How and where to bring a point back; nothing happens before the plan beside the form is confirmed. */
export default function RestorePage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const point = useQuery(useTRPC().points.get.queryOptions({ id }));
	return (
		<Answer of={point} noun={{ name: "recovery point", href: "/backups", all: "All guests" }}>
			{(data) => (
				<>
					<title>{`Restore ${data.guest.name} · Sterna`}</title>
					<Headline
						tone={data.damage ? "bad" : "neutral"}
						title={
							<>
								Restore {data.guest.name} as of <DayTime at={data.takenAt} />
							</>
						}
						lead="Say how and where; the plan beside it says what will happen, how long it takes and how to undo it."
					/>
					<RestoreForm key={data.id} point={data} />
				</>
			)}
		</Answer>
	);
}
