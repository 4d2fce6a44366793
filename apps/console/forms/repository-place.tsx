"use client";
import { formatBytes } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import { countOf } from "../components/backups/words.ts";
import { ProblemNotice } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import { TextField } from "../ui/field.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import type { RepositoryPart } from "./repository.tsx";
import { labels } from "./repository-draft.ts";

/** Where the repository is: a folder that hosts offer, or a bucket. */
export function RepositoryPlaceFields(part: RepositoryPart) {
	const { draft, set } = part;
	return (
		<>
			<fieldset>
				<legend className="mb-1 text-sm font-medium">Where</legend>
				<div className="grid gap-2 sm:grid-cols-2">
					<RadioCard
						name="kind"
						checked={draft.kind === "directory"}
						onChoose={() => set({ kind: "directory" })}
						title="A folder on the hosts"
					>
						A disk or an NFS mount that the hosts’ own configuration names.
					</RadioCard>
					<RadioCard
						name="kind"
						checked={draft.kind === "s3"}
						onChoose={() => set({ kind: "s3" })}
						title="An S3 bucket"
					>
						Any server that speaks S3; with Object Lock nobody can delete before the time.
					</RadioCard>
				</div>
			</fieldset>
			{draft.kind === "directory" ? <Folders {...part} /> : <Bucket {...part} />}
		</>
	);
}

function Folders({ draft, set, errorOf }: RepositoryPart) {
	const offers = useQuery(useTRPC().repositories.places.queryOptions());
	if (offers.error) return <ProblemNotice error={offers.error} onRetry={() => void offers.refetch()} />;
	if (!offers.data) return <SkeletonRows count={2} />;
	const { places } = offers.data;
	if (places.length === 0) {
		return (
			<p className="rounded-lg bg-sunken px-3 py-2.5 text-soft">
				No host offers a folder. Name one under <code className="font-mono text-sm">repositories</code> in a host’s
				agent configuration and restart its agent; the guests run on.
			</p>
		);
	}
	return (
		<fieldset>
			<legend className="mb-1 text-sm font-medium">Folder</legend>
			<div className="flex flex-col gap-2">
				{places.map((place) => (
					<RadioCard
						key={place.name}
						name="folder"
						checked={draft.folder === place.name}
						onChoose={() => set({ folder: place.name })}
						title={place.name}
					>
						On{" "}
						{place.hosts.length > 3
							? countOf(place.hosts.length, "host")
							: place.hosts.map(({ name }) => name).join(", ")}
						; {formatBytes(place.freeBytes)} free of {formatBytes(place.capacityBytes)}.
					</RadioCard>
				))}
			</div>
			{errorOf("folder") && <p className="mt-1 text-sm text-bad">{errorOf("folder")}</p>}
		</fieldset>
	);
}

function Bucket({ draft, set, errorOf }: RepositoryPart) {
	const field = (
		name: "endpoint" | "region" | "bucket" | "prefix" | "accessKeyId" | "secretAccessKey" | "lockDays",
	) => ({
		label: labels[name],
		value: draft[name],
		onValue: (value: string) => set({ [name]: value }),
		error: errorOf(name),
		autoComplete: "off",
		spellCheck: false,
	});
	return (
		<div className="grid gap-4 sm:grid-cols-2">
			<TextField placeholder="https://s3.example.net" {...field("endpoint")} />
			<TextField {...field("region")} />
			<TextField {...field("bucket")} />
			<TextField hint="Empty, or folders that end in a slash." {...field("prefix")} />
			<TextField {...field("accessKeyId")} />
			<TextField type="password" {...field("secretAccessKey")} autoComplete="new-password" />
			<TextField
				unit="days"
				inputMode="numeric"
				hint="By Object Lock in compliance mode; 0 without. Locks are renewed daily: choose a week or more. The bucket has to allow it."
				{...field("lockDays")}
			/>
		</div>
	);
}
