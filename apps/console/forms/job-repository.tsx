"use client";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useTRPC } from "../components/trpc.tsx";
import { Field } from "../ui/field.tsx";
import { Select } from "../ui/select.tsx";
import type { JobPart } from "./job.tsx";

/** Where the job's points go. The only repository there is, is taken. */
export function JobRepository({ draft, set, errorOf }: JobPart) {
	const repositories = useQuery(useTRPC().repositories.list.queryOptions({ pageSize: 200 }));
	const rows = repositories.data?.rows ?? [];
	const [only] = rows;
	if (only && rows.length === 1 && draft.repositoryId === "") set({ repositoryId: only.id });
	return (
		<Field
			label="Repository"
			error={errorOf("repositoryId")}
			hint={
				repositories.data?.total === 0 ? (
					<>
						There is none yet.{" "}
						<Link href="/backups/repositories/new" className="link">
							Add a repository
						</Link>{" "}
						first.
					</>
				) : undefined
			}
		>
			<Select
				label="Repository"
				value={draft.repositoryId}
				choices={[
					...(draft.repositoryId === "" ? [{ value: "", label: "Choose one" }] : []),
					...rows.map((row) => ({ value: row.id, label: row.name, note: row.place })),
				]}
				onValue={(repositoryId) => set({ repositoryId })}
			/>
		</Field>
	);
}
