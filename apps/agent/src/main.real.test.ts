import { type ChildProcess, spawn } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { guestSpec, testConsole, testFolder } from "./fixtures/test-agent.ts";

const main = new URL("./main.ts", import.meta.url).pathname;

/** Runs the command line to its end. */
async function sternaAgent(...args: string[]) {
	const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
	const output = { stdout: "", stderr: "" };
	child.stdout.on("data", (chunk) => {
		output.stdout += chunk;
	});
	child.stderr.on("data", (chunk) => {
		output.stderr += chunk;
	});
	const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
	return { ...output, exitCode };
}

function startAgentProcess(dataDir: string): { child: ChildProcess; ended: Promise<number | null> } {
	const child = spawn(process.execPath, [main, "run", "--data", dataDir, "--log-level", "error"], { stdio: "inherit" });
	const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
	});
	return { child, ended };
}

test("a server joins, runs its agent, survives the agent's kill -9, and tells its status all the while", async () => {
	const console = await testConsole();
	const folder = await testFolder();
	const dataDir = join(folder, "data");
	const config = join(folder, "my-config.json");
	await writeFile(config, JSON.stringify({ driver: "simulated", peerPort: 0, listenAddress: "127.0.0.1" }));

	const joined = await sternaAgent(
		"join",
		console.joinString(),
		"--data",
		dataDir,
		"--name",
		"server-1",
		"--config",
		config,
	);
	expect(joined).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("server-1 has joined 127.0.0.1") });

	expect((await stat(dataDir)).mode & 0o777, "guests pass through the data folder but cannot read it").toBe(0o711);

	const first = startAgentProcess(dataDir);
	const { endpoint } = await console.connection();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 1 });
	const started = await endpoint.call("guest.start", { guestId: spec.id, epoch: 1 });
	const online = await sternaAgent("status", "--data", dataDir, "--json");
	expect(JSON.parse(online.stdout)).toMatchObject({ agent: "running", host: { guests: [{ name: spec.name }] } });

	first.child.kill("SIGKILL");
	await first.ended;
	const offline = await sternaAgent("status", "--data", dataDir);
	expect(offline).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("the agent is not running") });
	expect(offline.stdout).toMatch(new RegExp(`${spec.name} +running +owner under epoch 1`));

	const second = startAgentProcess(dataDir);
	const again = await console.connection((one) => one.endpoint !== endpoint);
	const [guest] = (await again.endpoint.call("host.snapshot", {})).guests;
	expect(guest).toMatchObject({ guestId: spec.id, state: "running", startedAt: started.startedAt });
	expect(guest?.generation).toBeGreaterThan(started.generation);
	second.child.kill("SIGTERM");
	expect(await second.ended).toBe(0);
});

test("what cannot be done is said in a sentence with its cure, without a stack", async () => {
	const dataDir = await testFolder();
	const refusals = await Promise.all([
		sternaAgent("join", "sterna1:nonsense", "--data", dataDir),
		sternaAgent("join", "sterna1:nonsense", "--data", dataDir, "--name", "../../etc"),
		sternaAgent("run", "--data", dataDir),
		sternaAgent("status", "--data", join(dataDir, "nowhere")),
	]);
	expect(refusals).toMatchObject([
		{ exitCode: 1, stderr: expect.stringContaining("this is not a join string of Sterna\n  copy the whole line") },
		{ exitCode: 1, stderr: expect.stringContaining("cannot be a server's name") },
		{ exitCode: 1, stderr: expect.stringContaining("this server has not joined a console\n  take a join string") },
		{ exitCode: 1, stderr: expect.stringContaining("there is no data folder") },
	]);
	for (const { stderr } of refusals) expect(stderr).not.toMatch(/\n\s+at /);
});
