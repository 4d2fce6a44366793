"use client";
import { useQuery } from "@tanstack/react-query";
import { ShieldAlert, ShieldCheck } from "lucide-react";
import { Button } from "../ui/button.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

/** Computes the log's chain of seals anew, when asked. */
export function ChainCheck() {
	const check = useQuery(useTRPC().events.verify.queryOptions(undefined, { enabled: false, gcTime: 0 }));
	const broken = check.data?.brokenAt ?? null;
	return (
		<div className="flex flex-wrap items-center gap-3">
			<p role="status" className="text-sm empty:hidden">
				{check.data && broken === null && (
					<span className="inline-flex items-center gap-1.5 text-ok">
						<ShieldCheck aria-hidden className="size-4" />
						{check.data.events} events, none altered
					</span>
				)}
				{broken !== null && (
					<span className="inline-flex items-center gap-1.5 text-bad">
						<ShieldAlert aria-hidden className="size-4" />
						Event {broken} does not fit the chain
					</span>
				)}
			</p>
			<Button
				pending={check.isFetching}
				onClick={() =>
					void check.refetch().then(({ error }) => error && toastProblem("The log was not checked", error))
				}
			>
				Check the seals
			</Button>
		</div>
	);
}
