"use client";
import { formatDuration } from "@sterna/shared/units";
import { useMutation, useQuery } from "@tanstack/react-query";
import { LoaderCircle } from "lucide-react";
import Link from "next/link";
import { useState } from "react";
import { useLive } from "../../../../components/live.tsx";
import { useRoleRefusal } from "../../../../components/me.tsx";
import { ProblemNotice } from "../../../../components/problem.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { Button } from "../../../../ui/button.tsx";
import { buttonClass } from "../../../../ui/button-class.ts";
import { CopyButton } from "../../../../ui/copy.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Notice } from "../../../../ui/notice.tsx";
import { Panel } from "../../../../ui/panel.tsx";
import { useNow } from "../../../../ui/time.tsx";

/** Shows the one line that joins a server, and waits until the server is here. */
export default function JoinPage() {
	const trpc = useTRPC();
	const roleRefusal = useRoleRefusal("admin");
	const now = useNow();
	/** The last event before the line was made: who joins after it has joined with the line. */
	const [since, setSince] = useState(0);
	const joins = useQuery(trpc.events.list.queryOptions({ kind: "host.joined", limit: 10 }));
	useLive(["events"]);
	const token = useMutation(
		trpc.hosts.createJoinToken.mutationOptions({
			onMutate: () => setSince(joins.data?.rows[0]?.sequence ?? 0),
		}),
	);
	const arrived = (joins.data?.rows ?? [])
		.filter(({ sequence }) => sequence > since)
		.flatMap(({ objects }) => objects.filter(({ type }) => type === "host"));
	const left = token.data ? token.data.expiresAt - now : 0;
	return (
		<>
			<title>Join a server · Sterna</title>
			<Headline
				title="Join a server"
				lead="One line, pasted as root on the server that is to run guests. It fetches the agent from this console, checks the console’s key, and joins."
			/>
			<div className="flex max-w-[860px] flex-col gap-[18px]">
				{!token.data && (
					<Panel title="The line">
						<p className="mb-3 max-w-prose text-soft">
							The line carries a secret that is good once, for 30 minutes. Nobody can join with it a second time.
						</p>
						<Button
							kind="primary"
							disabledReason={roleRefusal}
							pending={token.isPending || joins.isLoading}
							onClick={() => token.mutate({})}
						>
							Make the line
						</Button>
						{token.error && (
							<div className="mt-3">
								<ProblemNotice error={token.error} />
							</div>
						)}
					</Panel>
				)}
				{token.data && (
					<>
						<Panel title="On a bare server, as root">
							<Line text={token.data.installLine} />
						</Panel>
						<Panel title="Where the agent is installed already">
							<Line text={token.data.joinLine} />
						</Panel>
						{arrived.map((host) => (
							<Notice key={host.id} tone="ok" title={`${host.name} has joined.`}>
								<div className="mt-2">
									<Link href={`/hosts/${host.id}`} className={buttonClass("primary")}>
										Look at {host.name}
									</Link>
								</div>
							</Notice>
						))}
						{arrived.length === 0 && left > 0 && (
							<p role="status" className="flex items-center gap-2 text-soft">
								<LoaderCircle aria-hidden className="size-4 motion-safe:animate-spin" />
								Waiting for the server. The line is good for another {formatDuration(Math.ceil(left / 1000) * 1000)}.
							</p>
						)}
						{arrived.length === 0 && left <= 0 && (
							<Notice tone="watch" title="The line has expired.">
								<div className="mt-2">
									<Button onClick={() => token.mutate({})}>Make a new one</Button>
								</div>
							</Notice>
						)}
					</>
				)}
			</div>
		</>
	);
}

function Line({ text }: { text: string }) {
	return (
		<div className="flex flex-col gap-2.5 sm:flex-row sm:items-start">
			<code className="min-w-0 flex-1 rounded-lg bg-sunken px-3 py-2 font-mono text-sm break-all select-all">
				{text}
			</code>
			<CopyButton text={text} />
		</div>
	);
}
