"use client";
import { CronExpression, TimeZone } from "@sterna/backup/schedule";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { toast } from "sonner";
import { cronOf, scheduleOf } from "../../forms/schedule-draft.ts";
import { ScheduleFields } from "../../forms/schedule-fields.tsx";
import type { RepositoryView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";

/** When everything in a repository is read and compared with its seal. */
export function ScrubDialog({ repository, onClose }: { repository: RepositoryView; onClose: () => void }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [schedule, setSchedule] = useState(() => scheduleOf(repository.scrubCron));
	const [timeZone, setTimeZone] = useState(repository.scrubTimeZone);
	const cron = CronExpression.safeParse(cronOf(schedule));
	const zone = TimeZone.safeParse(timeZone);
	const error = cron.success ? null : (cron.error.issues[0]?.message ?? "not a schedule");
	const zoneError = zone.success ? null : (zone.error.issues[0]?.message ?? "not a time zone");
	const save = useMutation(
		trpc.repositories.setScrub.mutationOptions({
			onSuccess: () => {
				toast.success(`${repository.name} is scrubbed on a new schedule`);
				void queryClient.invalidateQueries(trpc.repositories.pathFilter());
				onClose();
			},
			onError: (thrown) => toastProblem("The schedule stays as it was", thrown),
		}),
	);
	return (
		<Dialog
			open
			onClose={onClose}
			wide
			title={`Scrub schedule of ${repository.name}`}
			lead="A scrub reads everything that is stored: plan it for quiet hours. Damage is known at the latest after one round."
			actions={
				<>
					<Button onClick={onClose}>Do nothing</Button>
					<Button
						kind="primary"
						disabledReason={error ?? zoneError}
						pending={save.isPending}
						onClick={() => cron.success && save.mutate({ id: repository.id, cron: cron.data, timeZone })}
					>
						Save the schedule
					</Button>
				</>
			}
		>
			<ScheduleFields
				name="scrub"
				schedule={schedule}
				onSchedule={setSchedule}
				timeZone={timeZone}
				onTimeZone={setTimeZone}
				error={error}
				timeZoneError={zoneError}
			/>
		</Dialog>
	);
}
