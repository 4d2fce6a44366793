"use client";
import type { Refusal } from "@sterna/shared/migration";
import type { ReactNode } from "react";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { ProblemNotice } from "./problem.tsx";
import { Refusals } from "./refusals.tsx";
import { ended, statement } from "./words.ts";

export interface Plan {
	/** Sentences of what will happen, in order. */
	steps: readonly string[];
	/** What stands in the way; with any, it cannot be confirmed. */
	refusals?: readonly Refusal[];
	/** The numbers that decide: `Expected pause`, `40 ms`. */
	expect?: readonly { label: string; value: string }[];
	undo: string;
}

interface PlanDialogProps {
	open: boolean;
	onClose: () => void;
	title: string;
	lead?: ReactNode;
	/** Undefined while it is being worked out. */
	plan: Plan | undefined;
	planError?: unknown;
	/** Chosen or shown above the plan. */
	children?: ReactNode;
	confirm: string;
	danger?: boolean;
	/** Why it cannot be confirmed beyond the plan's refusals. */
	confirmRefusal?: string | null;
	pending: boolean;
	onConfirm: () => void;
}

/** Before every change: what will happen, what blocks it, how long, and how to undo it. */
export function PlanDialog(props: PlanDialogProps) {
	const { plan } = props;
	const refusals = plan?.refusals ?? [];
	const reason = props.planError
		? "it is not known what would happen; see above"
		: !plan
			? "the plan is not there yet"
			: refusals.length > 0
				? "something stands in the way; see above"
				: (props.confirmRefusal ?? null);
	return (
		<Dialog
			open={props.open}
			onClose={props.onClose}
			title={props.title}
			lead={props.lead}
			actions={
				<>
					<Button onClick={props.onClose}>Do nothing</Button>
					<Button
						kind={props.danger ? "danger" : "primary"}
						disabledReason={reason}
						pending={props.pending}
						onClick={props.onConfirm}
					>
						{props.confirm}
					</Button>
				</>
			}
		>
			<div className="flex flex-col gap-4">
				{props.children}
				{props.planError ? (
					<ProblemNotice error={props.planError} />
				) : !plan ? (
					<SkeletonRows count={4} height="h-6" />
				) : (
					<PlanBody plan={plan} />
				)}
			</div>
		</Dialog>
	);
}

function PlanBody({ plan }: { plan: Plan }) {
	const refusals = plan.refusals ?? [];
	return (
		<>
			{refusals.length > 0 && (
				<section aria-label="What stands in the way">
					<h3 className="mb-1.5 text-sm font-semibold text-soft">What stands in the way</h3>
					<Refusals refusals={refusals} />
				</section>
			)}
			{plan.steps.length > 0 && refusals.length === 0 && (
				<section aria-label="What will happen">
					<h3 className="mb-1.5 text-sm font-semibold text-soft">What will happen</h3>
					<ol className="list-decimal space-y-1 pl-5 marker:text-faint">
						{plan.steps.map((step) => (
							<li key={step} className="wrap-anywhere">
								{statement(step)}
							</li>
						))}
					</ol>
				</section>
			)}
			{plan.expect && plan.expect.length > 0 && (
				<dl className="grid grid-cols-2 gap-x-4 gap-y-2 rounded-lg bg-sunken px-3 py-2.5 sm:grid-cols-3">
					{plan.expect.map(({ label, value }) => (
						<div key={label}>
							<dt className="text-sm text-soft">{label}</dt>
							<dd className="font-semibold">{value}</dd>
						</div>
					))}
				</dl>
			)}
			<p className="text-soft">
				<span className="font-medium text-ink">To undo: </span>
				{ended(plan.undo)}
			</p>
		</>
	);
}
