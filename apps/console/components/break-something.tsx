"use client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { FlaskConical, HeartPulse } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";
import type { DemoAction } from "../server/routers/demo.ts";
import type { HostRef } from "../server/views.ts";
import { Button } from "../ui/button.tsx";
import { Chip } from "../ui/chip.tsx";
import { Field } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { Select } from "../ui/select.tsx";
import { BreakBackups } from "./backups/break-backups.tsx";
import { useRoleRefusal } from "./me.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

const words: Record<DemoAction, { label: string; what: string }> = {
	memoryErrors: {
		label: "Burst of memory errors",
		what: "Uncorrected errors on one DIMM: the host is failing, its guests leave at once.",
	},
	failingDisk: {
		label: "Failing disk",
		what: "A disk reports that it fails: the host is evacuated when the disk carries guests.",
	},
	killAgent: {
		label: "Kill the agent",
		what: "Its guests run on; the agent comes back and finds them again.",
	},
	cutNetwork: {
		label: "Cut the network",
		what: "The host is out of reach; nobody else starts its guests until it is heard again.",
	},
	heal: { label: "Heal", what: "Takes back what was broken on this host." },
};

/** Demo only: ways to break one of the demo's hosts on purpose, and to heal it. */
export function BreakSomething({ hosts }: { hosts: readonly HostRef[] }) {
	const trpc = useTRPC();
	const refusal = useRoleRefusal("admin");
	const [chosen, setChosen] = useState<string | null>(null);
	const state = useQuery(trpc.demo.state.queryOptions(undefined, { staleTime: 60_000 }));
	const host = hosts.find((one) => one.id === chosen) ?? hosts[0];
	const breaking = useMutation(
		trpc.demo.break.mutationOptions({
			onSuccess: (_, { action, hostId }) =>
				toast.success(`${words[action].label}: ${hosts.find((one) => one.id === hostId)?.name ?? "the host"}`),
			onError: (error) => toastProblem("Nothing was broken", error),
		}),
	);
	if (!host || !state.data?.active) return null;
	const actions = state.data.actions;
	return (
		<Panel
			title={
				<span className="inline-flex items-center gap-2">
					<FlaskConical aria-hidden className="size-4" />
					Break something
				</span>
			}
			aside={<Chip tone="watch">demo only</Chip>}
			className="border-dashed! border-line-strong!"
		>
			<p className="mb-3 max-w-prose text-soft">
				These servers are a demo on one machine. Break one and watch what Sterna does about it.
			</p>
			<Field label="Host to break" className="mb-3 max-w-60">
				<Select
					label="Host to break"
					value={host.id}
					choices={[...hosts]
						.sort((a, b) => a.name.localeCompare(b.name))
						.map((one) => ({ value: one.id, label: one.name }))}
					onValue={setChosen}
				/>
			</Field>
			<ul className="grid gap-2 sm:grid-cols-2">
				{actions.map((action) => (
					<li
						key={action}
						className={`flex flex-col gap-1.5 rounded-lg bg-sunken p-3 ${action === "heal" ? "sm:col-span-2" : ""}`}
					>
						<Button
							small
							kind={action === "heal" ? "secondary" : "danger"}
							className="self-start"
							disabledReason={refusal}
							pending={breaking.isPending && breaking.variables.action === action}
							onClick={() => breaking.mutate({ action, hostId: host.id })}
						>
							{action === "heal" && <HeartPulse aria-hidden className="size-4" />}
							{words[action].label}
						</Button>
						<p className="text-sm text-soft">{words[action].what}</p>
					</li>
				))}
				<BreakBackups />
			</ul>
		</Panel>
	);
}
