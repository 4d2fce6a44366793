import { RepositoryKey, RepositoryPlace } from "@sterna/shared/backup";
import { Name } from "@sterna/shared/names";
import { keyOf } from "../components/backups/key-groups.ts";

/** The form of a repository as it stands, half filled or not. */
export interface RepositoryDraft {
	way: "create" | "attach";
	name: string;
	kind: "directory" | "s3";
	/** Name of the folder in the hosts' configuration. */
	folder: string;
	endpoint: string;
	region: string;
	bucket: string;
	prefix: string;
	accessKeyId: string;
	secretAccessKey: string;
	lockDays: string;
	/** The recovery key, for one that is there already. */
	key: string;
}

export const freshRepository: RepositoryDraft = {
	way: "create",
	name: "",
	kind: "directory",
	folder: "",
	endpoint: "",
	region: "us-east-1",
	bucket: "",
	prefix: "",
	accessKeyId: "",
	secretAccessKey: "",
	lockDays: "0",
	key: "",
};

export interface RepositoryWish {
	name: string;
	place: RepositoryPlace;
	/** Null for a new repository. */
	key: string | null;
}

export type RepositoryErrors = Partial<Record<keyof RepositoryDraft, string>>;

/** What the form asks for, or what is wrong per field. */
export function wishOf(draft: RepositoryDraft): { wish: RepositoryWish | null; errors: RepositoryErrors } {
	const errors: RepositoryErrors = {};
	const name = Name.safeParse(draft.name);
	if (!name.success) errors.name = name.error.issues[0]?.message ?? "not a name";
	const place = RepositoryPlace.safeParse(placeOf(draft));
	if (!place.success) {
		for (const issue of place.error.issues) {
			const field = String(issue.path[0] ?? "");
			if (isField(field)) errors[field === "name" ? "folder" : field] ??= words[field] ?? issue.message;
		}
	}
	const key = RepositoryKey.safeParse(keyOf(draft.key));
	if (draft.way === "attach" && !key.success) errors.key = key.error.issues[0]?.message ?? "not a recovery key";
	if (Object.keys(errors).length > 0 || !place.success) return { wish: null, errors };
	return {
		wish: { name: draft.name, place: place.data, key: draft.way === "attach" && key.success ? key.data : null },
		errors,
	};
}

const words: RepositoryErrors & { name: string } = {
	name: "choose a folder",
	endpoint: "an address that begins with https:// or http://",
	region: "the region, for example us-east-1",
	bucket: "3 to 63 lower-case letters, digits, dots and hyphens",
	prefix: "empty, or folders that end in a slash, like backups/",
	accessKeyId: "the id of the access key",
	secretAccessKey: "the secret of the access key",
	lockDays: "days from 0 to 3650",
};

/** The first field that is not right yet, as the button that waits for it says it; null when all are. */
export function firstMissing(errors: RepositoryErrors): string | null {
	for (const field of Object.keys(labels).filter(isField)) {
		const error = errors[field];
		if (error) return `${labels[field]}: ${error}`;
	}
	return null;
}

/** The fields in the order of the form, as they are called there. */
export const labels = {
	name: "Name",
	folder: "Folder",
	endpoint: "Endpoint",
	region: "Region",
	bucket: "Bucket",
	prefix: "Prefix",
	accessKeyId: "Access key id",
	secretAccessKey: "Secret access key",
	lockDays: "Nothing can be deleted for",
	key: "Recovery key",
} as const;

function placeOf(draft: RepositoryDraft): unknown {
	if (draft.kind === "directory") return { kind: "directory", name: draft.folder };
	const { endpoint, region, bucket, prefix, accessKeyId, secretAccessKey } = draft;
	const lockDays = draft.lockDays.trim() === "" ? Number.NaN : Number(draft.lockDays);
	return { kind: "s3", endpoint, region, bucket, prefix, accessKeyId, secretAccessKey, lockDays };
}

function isField(field: string): field is keyof typeof labels {
	return field in labels;
}
