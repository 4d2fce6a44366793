"use client";
import { formatDuration } from "@sterna/shared/units";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import Link from "next/link";
import { use, useState } from "react";
import { toast } from "sonner";
import { EvacuationItems } from "../../../../components/evacuation-items.tsx";
import { EventsOf } from "../../../../components/events-of.tsx";
import { useLive } from "../../../../components/live.tsx";
import { useRoleRefusal } from "../../../../components/me.tsx";
import { Answer } from "../../../../components/page-state.tsx";
import { PlanDialog } from "../../../../components/plan-dialog.tsx";
import { toastProblem } from "../../../../components/problem.tsx";
import { timeFigure } from "../../../../components/time-figure.ts";
import { useTRPC } from "../../../../components/trpc.tsx";
import { evacuationStateTone } from "../../../../components/words.ts";
import type { EvacuationView } from "../../../../server/views-migrations.ts";
import { Button } from "../../../../ui/button.tsx";
import { Chip } from "../../../../ui/chip.tsx";
import { Figures } from "../../../../ui/figures.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Progress } from "../../../../ui/meter.tsx";
import { Panel } from "../../../../ui/panel.tsx";
import { useNow } from "../../../../ui/time.tsx";

/** When is the server empty. */
export default function EvacuationPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const evacuation = useQuery(useTRPC().evacuations.get.queryOptions({ evacuationId: id }));
	useLive([`evacuation:${id}`]);
	return (
		<Answer of={evacuation} noun={{ name: "evacuation", href: "/migrations", all: "All migrations" }}>
			{(data) => <Evacuation evacuation={data} />}
		</Answer>
	);
}

function Evacuation({ evacuation }: { evacuation: EvacuationView }) {
	const now = useNow();
	const { host, items } = evacuation;
	const running = evacuation.endedAt === null;
	const stuck = items.filter((item) => item.state === "blocked" || item.state === "failed").length;
	const pauses = items.flatMap((item) => (item.measuredDowntimeMs === null ? [] : [item.measuredDowntimeMs]));
	return (
		<>
			<title>{`Evacuation of ${host.name} · Sterna`}</title>
			<Headline
				tone={evacuationStateTone[evacuation.state]}
				title={titleOf(evacuation, stuck)}
				marks={<Chip tone={evacuationStateTone[evacuation.state]}>{evacuation.state}</Chip>}
				lead={
					<>
						<Link href={`/hosts/${host.id}`} className="link">
							{host.name}
						</Link>
						: {evacuation.reason}. Asked by {evacuation.requestedBy}.
					</>
				}
				actions={<CancelEvacuation evacuation={evacuation} />}
			/>
			<Figures
				figures={[
					{ label: "Moved", value: evacuation.moved, note: `of ${evacuation.total}` },
					timeFigure(evacuation, now, "Empty in"),
					{
						label: "Longest pause",
						value: pauses.length === 0 ? "–" : formatDuration(Math.max(...pauses)),
						note: pauses.length === 0 ? undefined : `of ${pauses.length} measured`,
					},
					{ label: "Cannot move", value: stuck, note: stuck === 0 ? undefined : "each with a cure below" },
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<Panel title="Guests, in order">
					<div className="mb-3">
						<Progress
							label={`Evacuation of ${host.name}`}
							share={evacuation.total === 0 ? 1 : evacuation.moved / evacuation.total}
							tone={stuck > 0 && !running ? "warn" : "accent"}
						/>
					</div>
					<EvacuationItems items={items} />
				</Panel>
				<EventsOf objectId={evacuation.id} />
			</div>
		</>
	);
}

function titleOf({ host, state, moved, total }: EvacuationView, stuck: number): string {
	const of = `${moved} of ${total}`;
	const have = `${total === 1 ? "guest has" : "guests have"} left`;
	switch (state) {
		case "running":
			return `${host.name} is being emptied: ${of} ${have}.`;
		case "completed":
			return total === 0 ? `${host.name} was empty already.` : `${host.name} is empty: ${of} ${have}.`;
		case "incomplete":
			return `${host.name} is not empty: ${stuck} ${stuck === 1 ? "guest" : "guests"} could not leave.`;
		case "cancelled":
			return `The evacuation of ${host.name} was cancelled after ${of} ${total === 1 ? "guest" : "guests"}.`;
	}
}

function CancelEvacuation({ evacuation }: { evacuation: EvacuationView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const [open, setOpen] = useState(false);
	const cancel = useMutation(
		trpc.evacuations.cancel.mutationOptions({
			onSuccess: () => {
				toast.success(`The evacuation of ${evacuation.host.name} ends`);
				void queryClient.invalidateQueries(trpc.evacuations.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem("The evacuation goes on", error),
		}),
	);
	if (evacuation.endedAt !== null) return null;
	return (
		<>
			<Button kind="danger" disabledReason={roleRefusal} onClick={() => setOpen(true)}>
				Cancel the evacuation
			</Button>
			<PlanDialog
				open={open}
				onClose={() => setOpen(false)}
				title={`Cancel the evacuation of ${evacuation.host.name}`}
				plan={{
					steps: [
						"No further guest begins to move; moves before their commit point are undone.",
						"Guests that have left stay where they are.",
					],
					undo: "take the host out of service again.",
				}}
				confirm="Cancel the evacuation"
				danger
				pending={cancel.isPending}
				onConfirm={() => cancel.mutate({ evacuationId: evacuation.id })}
			/>
		</>
	);
}
