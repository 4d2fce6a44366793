import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "../../../demo/demo.ts";
import { guestCommandLine } from "../../../demo/guest/command-line.ts";
import type { Pulse } from "../../../demo/heartbeats.ts";
import { demoFolder, prepare } from "../../../demo/prepare.ts";
import { axe, fillFirstAdmin, launchBrowser, lookAt, openVisit, signIn, walk } from "./browser.ts";
import { addViewer } from "./viewer.ts";

const port = 3079;
const password = "a few good words";

/** One rig of three servers and real guests; the tests are one story and run in order. */
describe("a person with three servers", { timeout: 300_000 }, () => {
	let demo: Demo;
	let browser: Browser;
	let context: BrowserContext;
	let page: Page;
	let problems: string[];

	beforeAll(async () => {
		const say = (line: string) => console.log(`rig: ${line}`);
		demo = await startDemo({
			id: "se",
			subnet: 79,
			serverCount: 3,
			consolePort: port,
			folder: demoFolder("e2e"),
			...(await prepare(say)),
			say,
		});
		browser = await launchBrowser();
		({ context, page, problems } = await openVisit(browser));
	}, 300_000);

	afterAll(async () => {
		await browser?.close();
		await demo?.close();
	}, 60_000);

	test("loses nothing of what is typed before the page's code has arrived", async () => {
		const { context: slow, page: early } = await openVisit(browser);
		const code = Promise.withResolvers<void>();
		await early.route("**/*.js", (route) => code.promise.then(() => route.continue()));
		await early.goto(demo.console.setupUrl, { waitUntil: "commit" });
		await early.getByRole("textbox", { name: "Email" }).fill("admin@example.net");
		await early.locator("input[type=password]").fill(password);
		code.resolve();
		const confirm = early.getByRole("button", { name: "Make the admin and sign in" });
		await expect.poll(() => confirm.getAttribute("aria-disabled")).toBeNull();
		await slow.close();
	});

	test("opens the one-time link, makes the first admin and is signed in", async () => {
		const firstAdmin = await fillFirstAdmin(page, demo.console.setupUrl, password);
		expect(await axe(page)).toEqual([]);
		await firstAdmin.confirm();
		await page.getByRole("heading", { level: 1 }).filter({ hasNotText: "Make the first admin" }).waitFor();
		await expect.poll(() => new URL(page.url()).pathname).toBe("/");
	});

	test("cannot use the link a second time", async () => {
		const other = await browser.newContext();
		const stranger = await other.newPage();
		await stranger.goto(demo.console.setupUrl);
		await stranger.getByRole("heading", { name: "The first admin is there already" }).waitFor();
		await other.close();
	});

	test("signs out, is kept out, and signs in again", async () => {
		await page.goto(`${demo.console.url}/settings`);
		await page.getByRole("button", { name: "Sign out" }).click();
		await page.getByRole("heading", { name: "Sign in" }).waitFor();
		await page.goto(`${demo.console.url}/guests`);
		await page.getByRole("heading", { name: "Sign in" }).waitFor();
		expect(await axe(page)).toEqual([]);
		await signIn(page, "admin", password);
		await page.getByRole("heading", { level: 1, name: "Guests" }).waitFor();
	});

	test("creates a guest in the form and watches its heartbeat on the serial console", async () => {
		await page.goto(`${demo.console.url}/guests/new`);
		await page.getByLabel("Name", { exact: true }).fill("web-1");
		await page.getByLabel("Memory").fill("128");
		await page.getByLabel("Kernel command line").fill(
			guestCommandLine({
				name: "web-1",
				ip: "198.18.79.150/24",
				beat: `${demo.network.consoleAddress}:${demo.heartbeats.port}`,
				beatMs: 50,
			}),
		);
		await choose(page, "Initrd", "sterna-guest.initrd");
		await page.getByLabel("Disk", { exact: true }).fill("0.25");
		expect(await axe(page)).toEqual([]);
		await page.getByRole("button", { name: "Create" }).click();
		await page.getByRole("heading", { level: 1, name: "web-1" }).waitFor();
		await page.getByText("running", { exact: true }).first().waitFor();
		await demo.heartbeats.waitFor("web-1", "its first heartbeats", (pulse) => pulse.received > 5, 60_000);
		await page.getByRole("button", { name: "Open the console" }).click();
		await expect.poll(() => terminalText(page), { timeout: 30_000 }).toMatch(/heartbeat seq=\d+/);
	});

	test("moves it to another host while its serial line stays open, and no beat is lost", async () => {
		const before = pulseOf(demo, "web-1");
		const host = await hostOf(demo, "web-1");
		await page.getByRole("button", { name: "Migrate", exact: true }).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByText("What will happen").waitFor();
		expect(await axe(page)).toEqual([]);
		await dialog.getByRole("button", { name: /^Migrate to/ }).click();
		await page.getByText("completed", { exact: true }).first().waitFor({ timeout: 120_000 });
		expect(await hostOf(demo, "web-1")).not.toBe(host);
		const after = await demo.heartbeats.waitFor(
			"web-1",
			"twenty beats on the new host",
			(pulse) => pulse.lastSeq > before.lastSeq + 20,
			30_000,
		);
		expect(after).toMatchObject({ missed: 0, duplicates: 0, diskErrors: 0, memoryErrors: 0 });
		expect(after.boots).toHaveLength(1);
		await page.goBack();
		await page.getByRole("button", { name: "Open the console" }).click();
		await expect.poll(() => terminalText(page), { timeout: 30_000 }).toContain(after.boots[0]?.slice(0, 8));
	});

	test("gives a viewer the pages, buttons that say why not, and a server that refuses all the same", async () => {
		await addViewer(demoFolder("e2e"), "vera");
		const { context: other, page: viewed, problems: hers } = await openVisit(browser);
		const { rows } = await demo.api.guests.list.query({ filter: "web-1" });
		const guestId = rows[0]?.id ?? "";
		await viewed.goto(`${demo.console.url}/guests/${guestId}`);
		await signIn(viewed, "vera", password);
		await viewed.getByRole("heading", { level: 1, name: "web-1" }).waitFor();
		for (const name of ["Migrate", "Shut down", "Open the console"])
			await expect.poll(() => whyNot(viewed, name)).toBe("this needs the role operator; you are viewer");
		const refused = await viewed.evaluate(async (id) => {
			const headers = { "content-type": "application/json" };
			const body = JSON.stringify({ guestId: id });
			const answer = await fetch("/api/trpc/guests.powerOff", { method: "POST", headers, body });
			return { status: answer.status, code: (await answer.json()).error?.data?.sterna?.code };
		}, guestId);
		expect(refused).toEqual({ status: 403, code: "forbidden" });
		expect((await demo.api.guests.get.query({ guestId })).state).toBe("running");
		await viewed.goto(`${demo.console.url}/`);
		await expect.poll(() => whyNot(viewed, "Burst of memory errors")).toBe("this needs the role admin; you are viewer");
		expect(hers).toEqual([]);
		await other.close();
	});

	test("sees every page without a fault of accessibility, in light and dark, wide and narrow", async () => {
		const { rows: guests } = await demo.api.guests.list.query({});
		const { rows: hosts } = await demo.api.hosts.list.query({});
		const { rows: moves } = await demo.api.migrations.list.query({});
		const paths = {
			overview: "/",
			guests: "/guests",
			guest: `/guests/${guests[0]?.id}`,
			"guest-new": "/guests/new",
			hosts: "/hosts",
			host: `/hosts/${hosts[0]?.id}`,
			"host-join": "/hosts/join",
			migrations: "/migrations",
			migration: `/migrations/${moves[0]?.id}`,
			health: "/health",
			events: "/events",
			settings: "/settings",
			"backups-empty": "/backups",
			"backups-guest-empty": `/guests/${guests[0]?.id}/backups`,
			"backups-job-new": "/backups/jobs/new",
			"backups-repository-new": "/backups/repositories/new",
			"not-found": "/nowhere",
		};
		expect(await walk(context, demo.console.url, paths)).toEqual([]);
	});

	test("breaks a DIMM: within 10 s the first guest moves, all leave, none restarts, and the host says why", async () => {
		const wishes = [
			{ name: "web-2", pool: "local", load: "light" },
			{ name: "orders-db", pool: "local", load: "writer" },
			{ name: "cache-1", pool: "shared", load: "light" },
		] as const;
		await Promise.all(wishes.map((wish) => demo.addGuest({ ...wish, beatMs: 100, server: "rack1-02" })));
		const onHost = wishes.map(({ name }) => name);
		const before = new Map(onHost.map((name) => [name, { ...pulseOf(demo, name) }]));
		await page.goto(`${demo.console.url}/`);
		const panel = page.locator("section", { hasText: "Break something" }).last();
		await choose(page, "Host to break", "rack1-02");
		const brokenAt = Date.now();
		await panel.getByRole("button", { name: "Burst of memory errors" }).click();
		let firstMoveAfterMs = 0;
		await expect
			.poll(
				async () => {
					const { rows } = await demo.api.migrations.list.query({});
					const first = rows.filter((row) => row.evacuationId).sort((a, b) => a.startedAt - b.startedAt)[0];
					firstMoveAfterMs = first ? first.startedAt - brokenAt : 0;
					return first !== undefined;
				},
				{ timeout: 15_000, interval: 100 },
			)
			.toBe(true);
		expect(firstMoveAfterMs).toBeLessThan(10_000);
		// By the time that the page is looked at it may be over: then the link only names it.
		await page
			.getByRole("link", { name: /^(Watch the evacuation|Evacuation)$/ })
			.first()
			.click();
		await page.getByRole("heading", { level: 1, name: /rack1-02/ }).waitFor();
		expect(await lookAt(page, "evacuation")).toEqual([]);
		await expect
			.poll(async () => (await hostRow(demo, "rack1-02"))?.guestsRunning, { timeout: 180_000, interval: 500 })
			.toBe(0);
		for (const name of onHost) {
			const then = before.get(name)?.lastSeq ?? 0;
			const now = await demo.heartbeats.waitFor(name, "beats elsewhere", (pulse) => pulse.lastSeq > then + 20, 30_000);
			expect(now, name).toMatchObject({ missed: 0, duplicates: 0, diskErrors: 0, memoryErrors: 0 });
			expect(now.boots, name).toHaveLength(1);
		}
		await expect.poll(async () => (await hostRow(demo, "rack1-02"))?.mode, { timeout: 30_000 }).toBe("maintenance");
		const row = await hostRow(demo, "rack1-02");
		await page.goto(`${demo.console.url}/hosts/${row?.id}`);
		await page.getByRole("heading", { level: 1, name: "rack1-02" }).waitFor();
		const headline = page.locator("header", { has: page.getByRole("heading", { level: 1, name: "rack1-02" }) }).last();
		await headline.getByText("failing", { exact: true }).waitFor();
		await headline.getByText("evacuated", { exact: true }).waitFor();
		const finding = page.getByRole("article", { name: /DIMM_B1/ }).filter({ hasText: "uncorrected" });
		// Errors are counted in several places: whichever was read first began the evacuation, the others find it begun.
		await expect
			.poll(() => finding.textContent())
			.toMatch(/failing.*2 errors.*(evacuated|being emptied|out of service).*any uncorrected memory error/);
		expect(await lookAt(page, "host-failing")).toEqual([]);
		await page.goto(`${demo.console.url}/`);
		await page.getByRole("heading", { level: 1 }).waitFor();
		expect(await lookAt(page, "overview-failing")).toEqual([]);
	});

	test("nothing threw in the browser on the way", () => {
		expect(problems).toEqual([]);
	});
});

/** Opens a select by its label and takes a choice. */
async function choose(page: Page, label: string, choice: string): Promise<void> {
	await page.getByRole("combobox", { name: label }).click();
	await page.getByRole("option", { name: choice }).click();
}

/** The reason for which a button cannot be pressed, as a screen reader says it; null when it can, or is not there yet. */
function whyNot(page: Page, name: string): Promise<string | null> {
	return page.evaluate((label) => {
		const buttons = [...document.querySelectorAll("button[aria-disabled=true]")];
		const button = buttons.find(({ textContent }) => textContent?.trim() === label);
		const reason = button?.getAttribute("aria-describedby");
		return (reason && document.getElementById(reason)?.textContent) ?? null;
	}, name);
}

function terminalText(page: Page): Promise<string> {
	return page
		.getByRole("region", { name: /^Serial console of/ })
		.last()
		.textContent()
		.then((text) => text ?? "");
}

function pulseOf(demo: Demo, guest: string): Pulse {
	const pulse = demo.heartbeats.pulse(guest);
	if (!pulse) throw new Error(`${guest} was never heard`);
	return { ...pulse };
}

async function hostOf(demo: Demo, guest: string): Promise<string | undefined> {
	const { rows } = await demo.api.guests.list.query({ filter: guest });
	return rows[0]?.host.name;
}

async function hostRow(demo: Demo, host: string) {
	const { rows } = await demo.api.hosts.list.query({ filter: host });
	return rows[0];
}
