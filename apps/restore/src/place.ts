import { resolve } from "node:path";
import type { Storage } from "@sterna/repository/storage";
import { openDirectory } from "@sterna/repository/storage/directory";
import { openS3 } from "@sterna/repository/storage/s3";
import { RepositoryPlace } from "@sterna/shared/backup";
import { SternaError, zodSentence } from "@sterna/shared/errors";

/**
 * A folder, or `s3://bucket/prefix/` with the credentials of the environment, under the names that S3 tools use.
 * @throws {SternaError} `invalid` naming what is missing; those of the storage.
 */
export async function openPlace(text: string, environment: NodeJS.ProcessEnv): Promise<Storage> {
	if (!text.startsWith("s3://")) return openDirectory(resolve(text));
	const [bucket = "", ...folders] = text.slice("s3://".length).split("/");
	const prefix = folders.filter((folder) => folder !== "").join("/");
	const place = RepositoryPlace.safeParse({
		kind: "s3",
		endpoint: environment.AWS_ENDPOINT_URL,
		region: environment.AWS_REGION ?? "us-east-1",
		bucket,
		prefix: prefix === "" ? "" : `${prefix}/`,
		accessKeyId: environment.AWS_ACCESS_KEY_ID,
		secretAccessKey: environment.AWS_SECRET_ACCESS_KEY,
		lockDays: 0,
	});
	if (place.success && place.data.kind === "s3") return openS3(place.data);
	throw new SternaError("invalid", `the bucket cannot be used: ${place.error ? zodSentence(place.error) : text}`, {
		cure: "set AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
	});
}
