"use client";
import { useMutation } from "@tanstack/react-query";
import { LogOut } from "lucide-react";
import { useMe } from "../../../components/me.tsx";
import { toastProblem } from "../../../components/problem.tsx";
import { ThemeChoice } from "../../../components/theme.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { Button } from "../../../ui/button.tsx";
import { Headline } from "../../../ui/headline.tsx";
import { Pair } from "../../../ui/meter.tsx";
import { Panel } from "../../../ui/panel.tsx";
import { Skeleton } from "../../../ui/skeleton.tsx";

const keys = [
	{ keys: "Ctrl K", what: "Find any object or action" },
	{ keys: "/", what: "Go to the filter of a table" },
	{ keys: "↑ ↓", what: "Go from row to row" },
	{ keys: "Enter", what: "Open the row" },
	{ keys: "Esc", what: "Close what is open" },
];

export default function SettingsPage() {
	const me = useMe();
	const signOut = useMutation(
		useTRPC().session.signOut.mutationOptions({
			onSuccess: () => location.assign("/sign-in"),
			onError: (error) => toastProblem("You are still signed in", error),
		}),
	);
	return (
		<>
			<title>Settings · Sterna</title>
			<Headline title="Settings" />
			<div className="grid max-w-[900px] items-start gap-[18px] md:grid-cols-2">
				<Panel title="Account">
					{me ? (
						<dl className="rows">
							<Pair label="Name">{me.name}</Pair>
							<Pair label="Email">{me.email}</Pair>
							<Pair label="Role">{me.role}</Pair>
						</dl>
					) : (
						<Skeleton className="h-28" />
					)}
					<div className="mt-3">
						<Button pending={signOut.isPending} onClick={() => signOut.mutate()}>
							<LogOut aria-hidden className="size-4" />
							Sign out
						</Button>
					</div>
				</Panel>
				<div className="flex flex-col gap-[18px]">
					<Panel title="Theme">
						<ThemeChoice />
					</Panel>
					<Panel title="Keyboard">
						<dl className="rows">
							{keys.map(({ keys: press, what }) => (
								<Pair key={press} label={what}>
									<kbd className="rounded border border-line-strong px-1.5 font-mono text-sm">{press}</kbd>
								</Pair>
							))}
						</dl>
					</Panel>
				</div>
			</div>
		</>
	);
}
