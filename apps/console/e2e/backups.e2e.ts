import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "../../../demo/demo.ts";
import { demoFolder, prepare } from "../../../demo/prepare.ts";
import { axe, fillFirstAdmin, launchBrowser, lookAt, openVisit, walk } from "./browser.ts";

const port = 3081;
const guest = "orders-db";

/** One rig, one guest with a file system and an agent inside; the tests are one story and run in order. */
describe("an admin who wants backups to bet the company on", { timeout: 120_000 }, () => {
	let demo: Demo;
	let browser: Browser;
	let context: BrowserContext;
	let page: Page;
	let problems: string[];
	let guestId = "";

	beforeAll(async () => {
		const say = (line: string) => console.log(`rig: ${line}`);
		demo = await startDemo({
			id: "be",
			subnet: 81,
			serverCount: 1,
			consolePort: port,
			folder: demoFolder("e2e-backups"),
			...(await prepare(say)),
			say,
		});
		guestId = await demo.addGuest({ name: guest, pool: "local", load: "tree", beatMs: 100 });
		browser = await launchBrowser();
		({ context, page, problems } = await openVisit(browser));
		context.setDefaultTimeout(45_000);
		await (await fillFirstAdmin(page, demo.console.setupUrl, "a few good words")).confirm();
		await page
			.getByRole("link", { name: /^Backups/ })
			.first()
			.waitFor();
	}, 300_000);

	const takenAt = async () => (await demo.api.points.list.query({})).rows[0]?.takenAt ?? 0;

	afterAll(async () => {
		await browser?.close();
		await demo?.close();
	}, 60_000);

	test("is led from the empty page to a repository, and has to keep its recovery key", async () => {
		await page.goto(`${demo.console.url}/backups`);
		await page.getByRole("heading", { level: 1, name: "No guest is backed up." }).waitFor();
		expect(await axe(page)).toEqual([]);
		await page.getByRole("link", { name: "Add a repository" }).click();
		await page.getByLabel("Name", { exact: true }).fill("main");
		await page.getByRole("radio", { name: /^backups/ }).check();
		expect(await axe(page)).toEqual([]);
		await page.getByRole("button", { name: "Make the repository" }).click();
		const key = await page.getByText(/^Recovery key: /).textContent();
		expect(await axe(page)).toEqual([]);
		const ending = page.getByLabel("Type the last eight characters from your copy");
		await ending.fill("aaaaaaaa");
		await page.getByRole("button", { name: "I have kept it" }).click();
		await expect.poll(() => ending.getAttribute("aria-invalid")).toBe("true");
		await ending.fill(key?.slice(-8) ?? "");
		await page.getByRole("button", { name: "I have kept it" }).click();
		await page.getByRole("heading", { level: 1, name: "main" }).waitFor();
		await page.getByText("kept by a person").waitFor();
	});

	test("makes a job, sees what it would do, and it runs when its time comes", async () => {
		await page.goto(`${demo.console.url}/backups/jobs/new`);
		await page.getByLabel("Name", { exact: true }).fill("nightly");
		await page.getByText("1 disk of 1 is read whole: it is the guest’s first point in this repository.").waitFor();
		await page
			.getByRole("list", { name: "Next five times" })
			.getByText(/02:00 UTC/)
			.first()
			.waitFor();
		expect(await axe(page)).toEqual([]);
		await page.getByRole("button", { name: "Create the job" }).click();
		await page.getByRole("heading", { level: 1, name: "nightly" }).waitFor();
		await demo.heartbeats.waitFor(guest, "two generations of files", (pulse) => pulse.diskRecords > 1, 60_000);
		const { rows } = await demo.api.jobs.list.query({});
		const nextRunAt = rows[0]?.nextRunAt ?? 0;
		await demo.api.demo.setClockOffset.mutate({ ms: nextRunAt - Date.now() + 500 });
		await page.getByText("completed", { exact: true }).first().waitFor({ timeout: 60_000 });
		await page.getByRole("link", { name: guest }).first().click();
		await page.getByRole("heading", { level: 1, name: `${guest} is backed up.` }).waitFor();
		expect(await axe(page)).toEqual([]);
	});

	test("finds the point in the guest's calendar, goes to it by keyboard, and downloads a file that is whole", async () => {
		await page.goto(`${demo.console.url}/guests/${guestId}/backups`);
		await page.getByRole("grid", { name: /^Recovery points/ }).waitFor();
		await page.getByText("protected", { exact: true }).first().waitFor();
		await choosePointDay(page, await takenAt());
		await page.getByRole("link", { name: "Browse files" }).click();
		const folder = page.getByRole("button", { name: /^g\d{6}$/ }).first();
		await folder.waitFor({ timeout: 90_000 });
		expect(await axe(page)).toEqual([]);
		await folder.click();
		const manifest = (await download(page, "MANIFEST")).toString("utf8");
		const [line = ""] = manifest.split("\n").filter((one) => /file-\d+-\d+$/.test(one));
		const [sum = "", path = ""] = line.split(/\s+\.\//);
		expect(
			createHash("sha256")
				.update(await download(page, path))
				.digest("hex"),
		).toBe(sum);
	});

	test("restores it instantly beside the old one, by a plan", async () => {
		await page.goto(`${demo.console.url}/guests/${guestId}/backups`);
		await choosePointDay(page, await takenAt());
		await page.getByRole("link", { name: "Restore", exact: true }).click();
		await page.getByText("To undo:").waitFor();
		expect(await axe(page)).toEqual([]);
		await page.getByRole("button", { name: `Start ${guest}-restored at once` }).click();
		await page.getByRole("heading", { level: 1, name: `${guest}-restored is restored.` }).waitFor({ timeout: 90_000 });
		expect(await axe(page)).toEqual([]);
		await page.getByRole("link", { name: `Open ${guest}-restored` }).click();
		await page.getByText("running", { exact: true }).first().waitFor();
		await page.getByRole("button", { name: "Open the console" }).click();
		const serial = page.getByRole("region", { name: /^Serial console of/ }).last();
		await expect
			.poll(() => serial.textContent(), { timeout: 60_000 })
			.toMatch(/tree: generation=\d+ files=\d+ errors=0/);
	});

	test("proves it by a drill, which is green and shows how long it took", async () => {
		await page.goto(`${demo.console.url}/guests/${guestId}/backups`);
		await page.getByRole("button", { name: "Prove by a drill" }).click();
		await page.getByRole("button", { name: "Begin the drill" }).click();
		await page
			.getByRole("heading", { level: 1, name: `${guest} can be restored: its backup works.` })
			.waitFor({ timeout: 90_000 });
		expect(await axe(page)).toEqual([]);
		await page.goto(`${demo.console.url}/guests/${guestId}/backups`);
		await page
			.getByText(/^measured/)
			.first()
			.waitFor();
	});

	test("sees no fault of accessibility and nothing too wide, with all that is there now", async () => {
		const { rows: repositories } = await demo.api.repositories.list.query({});
		const { rows: jobs } = await demo.api.jobs.list.query({});
		const { rows: points } = await demo.api.points.list.query({});
		const { rows: restores } = await demo.api.restores.list.query({});
		const paths = {
			backups: "/backups",
			"backups-guest": `/guests/${guestId}/backups`,
			"backups-runs": "/backups/runs",
			"backups-jobs": "/backups/jobs",
			"backups-job": `/backups/jobs/${jobs[0]?.id}`,
			"backups-job-edit": `/backups/jobs/${jobs[0]?.id}/edit`,
			"backups-repositories": "/backups/repositories",
			"backups-repository": `/backups/repositories/${repositories[0]?.id}`,
			"backups-point": `/backups/points/${points[0]?.id}`,
			"backups-restore": `/backups/points/${points[0]?.id}/restore`,
			"backups-run": `/backups/runs/${points[0]?.id}`,
			"backups-restores": "/backups/restores",
			"backups-drill": `/backups/restores/${restores.find(({ mode }) => mode === "drill")?.id}`,
		};
		expect(await walk(context, demo.console.url, paths)).toEqual([]);
	});

	test("damages the repository, and one scrub shows it red with the guest that it hits", async () => {
		const { rows } = await demo.api.repositories.list.query({});
		await page.goto(`${demo.console.url}/backups/repositories/${rows[0]?.id}`);
		await page.getByRole("button", { name: "Damage it (demo)" }).click();
		await page.getByText("A scrub finds it.").waitFor();
		await page.getByRole("button", { name: "Scrub now" }).click();
		const headline = page.locator("header", { has: page.getByRole("heading", { level: 1, name: "main" }) }).last();
		await headline.getByText("damaged", { exact: true }).waitFor({ timeout: 60_000 });
		await page.getByRole("region", { name: "Damage" }).getByRole("link", { name: guest }).first().waitFor();
		expect(await lookAt(page, "backups-repository-damaged")).toEqual([]);
	});

	test("nothing threw in the browser on the way", () => {
		expect(problems).toEqual([]);
	});
});

/** By keyboard, from today to the day that has the point: a midnight, and with it a month, may have passed since it was taken. */
async function choosePointDay(page: Page, takenAt: number): Promise<void> {
	const browse = page.getByRole("link", { name: "Browse files" });
	await browse.or(page.getByText("There is no recovery point of this day.")).first().waitFor();
	await page.locator('button[data-day][tabindex="0"]').focus();
	const day = new Date(takenAt).toISOString().slice(0, 10);
	if ((await page.locator("button[data-day]:focus").getAttribute("data-day")) !== day)
		await page.keyboard.press("ArrowLeft");
	await page.locator(`button[data-day="${day}"]:focus`, { hasText: "1 recovery point" }).waitFor();
	await browse.waitFor();
}

async function download(page: Page, name: string): Promise<Buffer> {
	const begun = page.waitForEvent("download");
	await page.getByRole("button", { name: `Download ${name}`, exact: true }).click();
	return readFileSync(await (await begun).path());
}
