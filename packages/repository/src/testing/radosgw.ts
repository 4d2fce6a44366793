import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { RepositoryPlace } from "@sterna/shared/backup";
import { AwsClient } from "aws4fetch";

const run = promisify(execFile);
const startDeadlineMs = 120_000;

export type S3Place = Extract<RepositoryPlace, { kind: "s3" }>;

/** Ceph's object gateway, a real S3 server, with a store in memory of its own: on loopback, for one test file. */
export interface ObjectGateway {
	/** A new bucket. `withObjectLock`: it keeps versions, and objects can be locked in it. */
	newBucket(options?: { withObjectLock?: boolean }): Promise<S3Place>;
	/** Ends the gateway alone, as if its host were gone. */
	endGateway(): Promise<void>;
	stop(): Promise<void>;
}

/** Starts one monitor, one store in memory and the gateway; fulfilled when the gateway answers. About 15 s. */
export async function startObjectGateway(): Promise<ObjectGateway> {
	const folder = await mkdtemp(join(tmpdir(), "sterna-s3-"));
	const children: ChildProcess[] = [];
	const stop = async () => {
		for (const child of children.splice(0).reverse()) await end(child);
		await rm(folder, { recursive: true, force: true });
	};
	try {
		const [monitorPort, gatewayPort] = [await freePort(), await freePort()];
		const config = join(folder, "ceph.conf");
		const fsid = randomUUID();
		for (const name of ["mon", "osd", "run"]) await mkdir(join(folder, name));
		await writeFile(config, configuration({ folder, fsid, monitorPort }));
		await writeFile(join(folder, "keyring"), await keyring());
		const conf = ["-c", config];
		const start = (program: string, args: string[]) => {
			const child = spawn(program, [...conf, ...args, "-f"], { stdio: "ignore" });
			children.push(child);
			return child;
		};

		const map = join(folder, "monmap");
		await run("monmaptool", ["--create", "--fsid", fsid, "--addv", "a", `[v2:127.0.0.1:${monitorPort}]`, map]);
		await run("ceph-mon", [...conf, "-i", "a", "--mkfs", "--monmap", map, "--keyring", join(folder, "keyring")]);
		start("ceph-mon", ["-i", "a"]);
		const storeId = randomUUID();
		await run("ceph", [...conf, "--connect-timeout", "60", "osd", "new", storeId], { timeout: startDeadlineMs });
		await run("ceph-osd", [...conf, "-i", "0", "--mkfs", "--osd-uuid", storeId]);
		start("ceph-osd", ["-i", "0"]);
		const [accessKeyId, secretAccessKey] = ["sterna-test", randomBytes(20).toString("hex")];
		const user = ["user", "create", "--uid", "sterna", "--display-name", "sterna"];
		const keys = ["--access-key", accessKeyId, "--secret-key", secretAccessKey];
		await run("radosgw-admin", [...conf, ...user, ...keys], { timeout: startDeadlineMs });
		const frontend = `beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1`;
		const gateway = start("radosgw", ["-n", "client.admin", "--rgw_frontends", frontend]);

		const endpoint = `http://127.0.0.1:${gatewayPort}`;
		await untilAnswers(endpoint);
		const client = new AwsClient({ accessKeyId, secretAccessKey, service: "s3", region: "default" });
		return {
			async newBucket({ withObjectLock = false } = {}) {
				const bucket = `test-${randomBytes(6).toString("hex")}`;
				const headers = withObjectLock ? { "x-amz-bucket-object-lock-enabled": "true" } : {};
				const made = await client.fetch(`${endpoint}/${bucket}`, { method: "PUT", headers });
				if (!made.ok) throw new Error(`the bucket was not made: ${made.status} ${await made.text()}`);
				const lockDays = withObjectLock ? 1 : 0;
				return {
					kind: "s3",
					endpoint,
					region: "default",
					bucket,
					prefix: "a/b/",
					accessKeyId,
					secretAccessKey,
					lockDays,
				};
			},
			endGateway: () => end(gateway),
			stop,
		};
	} catch (error) {
		await stop();
		throw error;
	}
}

function configuration({ folder, fsid, monitorPort }: { folder: string; fsid: string; monitorPort: number }): string {
	const settings = {
		fsid,
		mon_host: `v2:127.0.0.1:${monitorPort}`,
		mon_initial_members: "a",
		auth_cluster_required: "cephx",
		auth_service_required: "cephx",
		auth_client_required: "cephx",
		keyring: join(folder, "keyring"),
		public_addr: "127.0.0.1",
		ms_bind_msgr1: "false",
		// One copy, one placement group for each pool: the least that a store can be.
		osd_pool_default_size: 1,
		osd_pool_default_min_size: 1,
		osd_pool_default_pg_num: 1,
		osd_pool_default_pg_autoscale_mode: "off",
		osd_crush_chooseleaf_type: 0,
		mon_allow_pool_size_one: "true",
		osd_objectstore: "memstore",
		memstore_device_bytes: 1024 ** 3,
		mon_data: join(folder, "mon"),
		osd_data: join(folder, "osd"),
		run_dir: join(folder, "run"),
		rgw_data: join(folder, "run"),
		admin_socket: "",
		log_file: "/dev/null",
		mon_cluster_log_file: "/dev/null",
		rgw_thread_pool_size: 16,
	};
	return ["[global]", ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`), ""].join("\n");
}

async function keyring(): Promise<string> {
	const key = (await run("ceph-authtool", ["--gen-print-key"])).stdout.trim();
	const all = (services: string[]) => services.map((service) => `\tcaps ${service} = "allow *"`);
	return [
		...["[mon.]", `\tkey = ${key}`, ...all(["mon"])],
		...["[client.admin]", `\tkey = ${key}`, ...all(["mon", "osd", "mgr"])],
		...["[osd.0]", `\tkey = ${key}`, ...all(["mon", "osd"])],
		"",
	].join("\n");
}

async function untilAnswers(endpoint: string): Promise<void> {
	const deadline = Date.now() + startDeadlineMs;
	for (;;) {
		const answers = await fetch(endpoint).then(
			async (response) => (await response.arrayBuffer()) !== null,
			() => false,
		);
		if (answers) return;
		if (Date.now() > deadline) throw new Error("the object gateway does not answer");
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const ended = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await ended;
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	if (address === null || typeof address === "string") throw new Error("no port is free");
	return address.port;
}
