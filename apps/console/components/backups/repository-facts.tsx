import Link from "next/link";
import type { RepositoryView } from "../../server/views-backups.ts";
import { Pair } from "../../ui/meter.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Time } from "../../ui/time.tsx";
import { countOf } from "./words.ts";

/** A bucket is reached by every host there is. */
const namedHosts = 20;

/** What the repository is: where, for whom, and whether what it holds can be deleted. */
export function RepositoryFacts({ repository }: { repository: RepositoryView }) {
	const { usage, hosts, jobs } = repository;
	return (
		<Panel title="The repository">
			<dl className="rows">
				<Pair label="Kind">{repository.kind === "s3" ? "S3 bucket" : "folder on hosts"}</Pair>
				<Pair label="Hosts">
					{hosts.length === 0
						? "none reaches it"
						: hosts.slice(0, namedHosts).map((host, index) => (
								<span key={host.id}>
									{index > 0 && ", "}
									<Link href={`/hosts/${host.id}`} className="link">
										{host.name}
									</Link>
								</span>
							))}
					{hosts.length > namedHosts && ` and ${hosts.length - namedHosts} more`}
				</Pair>
				<Pair label="Jobs">
					{jobs.length === 0
						? "none"
						: jobs.map((job, index) => (
								<span key={job.id}>
									{index > 0 && ", "}
									<Link href={`/backups/jobs/${job.id}`} className="link">
										{job.name}
									</Link>
								</span>
							))}
				</Pair>
				<Pair label="Points">
					{!usage ? "–" : usage.points === 0 ? "none" : `${usage.points}, of ${countOf(usage.guests, "guest")}`}
				</Pair>
				<Pair label="Deletable">
					{repository.lockDays
						? `not for ${repository.lockDays} days after a point last needed it`
						: usage?.immutability === "locked"
							? "not before its time"
							: repository.kind === "s3"
								? "yes, by whoever has its credentials"
								: "yes, by whoever can write to the folder"}
				</Pair>
				{repository.canarySentence && <Pair label="Last try to delete">{repository.canarySentence}</Pair>}
				<Pair label="Recovery key">{repository.keyConfirmed ? "kept by a person" : "not confirmed"}</Pair>
				<Pair label="Added">
					<Time at={repository.createdAt} />
				</Pair>
				<Pair label="Id">
					<span className="font-mono text-sm">{repository.id}</span>
				</Pair>
			</dl>
		</Panel>
	);
}
