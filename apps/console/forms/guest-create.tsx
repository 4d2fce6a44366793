"use client";
import { formatBytes } from "@sterna/shared/units";
import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useDeferredValue, useState } from "react";
import { toast } from "sonner";
import { useRoleRefusal } from "../components/me.tsx";
import { PlacementList } from "../components/placement-list.tsx";
import { ProblemNotice } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import { ended, statement } from "../components/words.ts";
import type { CreatePlan } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { Field, TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { Select } from "../ui/select.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { Switch } from "../ui/switch.tsx";
import { type Draft, errorsOf, freshDraft, noChoice, wantedOf } from "./guest-draft.ts";

/** A new guest: a short form, and beside it where it would go and why, kept up to date while it is filled. */
export function GuestCreateForm() {
	const trpc = useTRPC();
	const router = useRouter();
	const roleRefusal = useRoleRefusal("operator");
	const [draft, setDraft] = useState(freshDraft);
	const [touched, setTouched] = useState(false);
	const set = (patch: Partial<Draft>) => setDraft((before) => ({ ...before, ...patch }));

	const [offers, setOffers] = useState<CreatePlan | null>(null);
	const errors = errorsOf(draft);
	const wanted = useDeferredValue(wantedOf(draft, offers));
	const { name: _name, start: _start, boot, ...sizes } = wanted;
	const bootable = boot.from === "disk" || boot.kernel !== "";
	const plan = useQuery(
		trpc.guests.planCreate.queryOptions(bootable ? { ...sizes, boot } : sizes, {
			placeholderData: keepPreviousData,
			staleTime: 0,
			enabled: Object.keys(errors.sizes).length === 0,
		}),
	);
	if (plan.data && plan.data !== offers) setOffers(plan.data);
	const place = plan.data?.candidates.find((candidate) => candidate.chosen);

	const create = useMutation(
		trpc.guests.create.mutationOptions({
			onSuccess: ({ guestId }) => {
				toast.success(`${draft.name} was created`, {
					action: { label: "Events", onClick: () => router.push(`/events?object=${guestId}`) },
				});
				router.push(`/guests/${guestId}`);
			},
		}),
	);
	const reason =
		roleRefusal ??
		errors.name ??
		Object.values(errors.sizes)[0] ??
		(bootable ? null : "no host offers a kernel image") ??
		(plan.data ? (place ? null : "no host can take it; see the plan") : "the plan is not there yet");

	return (
		<form
			noValidate
			className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1fr)_minmax(340px,1fr)]"
			onSubmit={(event) => {
				event.preventDefault();
				setTouched(true);
				if (!reason && !create.isPending) create.mutate(wanted);
			}}
		>
			<Panel title="The guest">
				<div className="flex flex-col gap-4">
					<TextField
						label="Name"
						hint="Lower-case letters, digits and hyphens."
						error={touched || draft.name !== "" ? errors.name : null}
						value={draft.name}
						onValue={(name) => set({ name })}
						autoComplete="off"
						maxLength={63}
						autoFocus
						required
					/>
					<div className="grid grid-cols-2 gap-4">
						<TextField
							label="Processors"
							unit="vCPU"
							inputMode="numeric"
							error={errors.sizes.vcpus}
							value={draft.vcpus}
							onValue={(vcpus) => set({ vcpus })}
						/>
						<TextField
							label="Memory"
							unit="MiB"
							inputMode="numeric"
							error={errors.sizes.memory}
							value={draft.memoryMiB}
							onValue={(memoryMiB) => set({ memoryMiB })}
						/>
					</div>
					<Field label="Boots from">
						<Select
							label="Boots from"
							value={draft.bootFrom}
							choices={[
								{
									value: "kernel",
									label: "A kernel image",
									note: "The kernel and initrd come from the hosts’ image folder.",
								},
								{ value: "disk", label: "Its disk", note: "The disk starts as a copy of an image." },
							]}
							onValue={(value) => set({ bootFrom: value === "disk" ? "disk" : "kernel" })}
						/>
					</Field>
					{draft.bootFrom === "kernel" && (
						<>
							<div className="grid gap-4 sm:grid-cols-2">
								<ImageChoice
									label="Kernel"
									offers={offers}
									value={wanted.boot.from === "kernel" ? wanted.boot.kernel : ""}
									onValue={(kernel) => set({ kernel })}
								/>
								<ImageChoice
									label="Initrd"
									optional
									offers={offers}
									value={wanted.boot.from === "kernel" ? (wanted.boot.initrd ?? noChoice) : noChoice}
									onValue={(initrd) => set({ initrd })}
								/>
							</div>
							<TextField
								label="Kernel command line"
								value={draft.commandLine}
								onValue={(commandLine) => set({ commandLine })}
								className="font-mono text-sm!"
								spellCheck={false}
							/>
						</>
					)}
					<div className="grid gap-4 sm:grid-cols-2">
						<TextField
							label="Disk"
							unit="GiB"
							inputMode="decimal"
							hint={draft.bootFrom === "kernel" ? "0 for none." : undefined}
							error={errors.sizes.disk}
							value={draft.diskGiB}
							onValue={(diskGiB) => set({ diskGiB })}
						/>
						<Field label="In pool">
							<Select
								label="In pool"
								value={wanted.volumes[0]?.pool ?? draft.pool ?? noChoice}
								choices={(offers?.pools ?? []).map((pool) => ({
									value: pool.name,
									label: pool.name,
									note: `${pool.kind}, on ${pool.hosts} ${pool.hosts === 1 ? "host" : "hosts"}`,
								}))}
								onValue={(pool) => set({ pool })}
							/>
						</Field>
					</div>
					{draft.bootFrom === "disk" && (
						<ImageChoice
							label="Disk starts as a copy of"
							offers={offers}
							value={wanted.volumes[0]?.fromImage ?? ""}
							onValue={(diskImage) => set({ diskImage })}
						/>
					)}
					<div className="grid gap-4 sm:grid-cols-2">
						<Field label="Network">
							<Select
								label="Network"
								value={wanted.networks[0] ?? noChoice}
								choices={[
									...(offers?.networks ?? []).map((network) => ({
										value: network.name,
										label: network.name,
										note: `on ${network.hosts} ${network.hosts === 1 ? "host" : "hosts"}`,
									})),
									{ value: noChoice, label: "None" },
								]}
								onValue={(network) => set({ network })}
							/>
						</Field>
						<Field label="Host">
							<Select
								label="Host"
								value={draft.hostId ?? noChoice}
								choices={[
									{ value: noChoice, label: "Best place", note: "The planner chooses and says why." },
									...(plan.data?.candidates ?? []).map(({ host }) => ({ value: host.id, label: host.name })),
								]}
								onValue={(value) => set({ hostId: value === noChoice ? null : value })}
							/>
						</Field>
					</div>
					<div className="flex items-center justify-between gap-4">
						<span>Start it at once</span>
						<Switch label="Start it at once" checked={draft.start} onChange={(start) => set({ start })} />
					</div>
				</div>
			</Panel>
			<Panel title="What will happen">
				{plan.error ? (
					<ProblemNotice error={plan.error} onRetry={() => void plan.refetch()} />
				) : !plan.data ? (
					<SkeletonRows count={5} height="h-8" />
				) : (
					<div className="flex flex-col gap-4">
						<PlacementList candidates={plan.data.candidates} />
						{place && (
							<ol className="list-decimal space-y-1 pl-5 marker:text-faint">
								{plan.data.steps.map((step) => (
									<li key={step}>{statement(step)}</li>
								))}
							</ol>
						)}
						<p className="text-soft">
							<span className="font-medium text-ink">To undo: </span>
							{ended(plan.data.undo)}
						</p>
					</div>
				)}
				{create.error && <ProblemNotice error={create.error} className="mt-4" />}
				<div className="mt-4 flex justify-end gap-2 border-t border-line pt-3">
					<Button onClick={() => router.push("/guests")}>Do nothing</Button>
					<Button type="submit" kind="primary" disabledReason={reason} pending={create.isPending}>
						{draft.start ? "Create and start" : "Create"}
					</Button>
				</div>
			</Panel>
		</form>
	);
}

function ImageChoice(props: {
	label: string;
	offers: CreatePlan | null;
	value: string;
	optional?: boolean;
	onValue: (name: string) => void;
}) {
	const images = props.offers?.images ?? [];
	return (
		<Field label={props.label}>
			<Select
				label={props.label}
				value={props.value}
				choices={[
					...(props.optional ? [{ value: noChoice, label: "None" }] : []),
					...(props.value === "" ? [{ value: "", label: "no image is there" }] : []),
					...images.map((image) => ({
						value: image.name,
						label: image.name,
						note: `${formatBytes(image.sizeBytes)}, on ${image.hosts} ${image.hosts === 1 ? "host" : "hosts"}`,
					})),
				]}
				onValue={props.onValue}
			/>
		</Field>
	);
}
