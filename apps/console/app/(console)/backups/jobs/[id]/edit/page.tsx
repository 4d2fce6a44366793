"use client";
import { useQuery } from "@tanstack/react-query";
import { use } from "react";
import { Answer } from "../../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../../components/trpc.tsx";
import { JobForm } from "../../../../../../forms/job.tsx";
import { Headline } from "../../../../../../ui/headline.tsx";

export default function EditJobPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const job = useQuery(useTRPC().jobs.get.queryOptions({ id }));
	return (
		<Answer of={job} noun={{ name: "backup job", href: "/backups/jobs", all: "All jobs" }}>
			{(data) => (
				<>
					<title>{`Change ${data.name} · Sterna`}</title>
					<Headline
						title={`Change ${data.name}`}
						lead="Nothing changes before it is saved; beside the form stands what would be different."
					/>
					<JobForm job={data} />
				</>
			)}
		</Answer>
	);
}
