"use client";
import { JobForm } from "../../../../../forms/job.tsx";
import { Headline } from "../../../../../ui/headline.tsx";

export default function NewJobPage() {
	return (
		<>
			<title>Create a backup job · Sterna</title>
			<Headline
				title="Create a backup job"
				lead="Say which guests, when and for how long; beside it stands what the job would do."
			/>
			<JobForm />
		</>
	);
}
