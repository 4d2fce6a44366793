"use client";
import { RepositoryForm } from "../../../../../forms/repository.tsx";
import { Headline } from "../../../../../ui/headline.tsx";

export default function NewRepositoryPage() {
	return (
		<>
			<title>Add a backup repository · Sterna</title>
			<Headline
				title="Add a backup repository"
				lead="Make a new one in an empty place, or open one that is there, for example after a disaster."
			/>
			<RepositoryForm />
		</>
	);
}
