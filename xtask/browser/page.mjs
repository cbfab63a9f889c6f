// The page of `docjobs serve` in a real browser: live update, filters, decisions, keyboard, languages, sizes, colours.
// Called by `cargo xtask browser` with the command, the browser, and the folder for screenshots.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [command, browserPath, shots] = process.argv.slice(2);
const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const folder = mkdtempSync(join(tmpdir(), "docjobs-browser-"));
const children = [];
mkdirSync(shots, { recursive: true });

/** Starts the command and gives its first line of output that `wanted` understands. */
function start(args, env, wanted) {
  const child = spawn(command, args, { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, ...env } });
  children.push(child);
  child.stderr.resume();
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`docjobs ${args[0]} ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = wanted(line);
      if (found) resolve(found);
    });
  });
}

async function simulators() {
  const env = {};
  await start(["sim", "--speed", "100"], {}, (line) => {
    const at = line.indexOf("=");
    if (at > 0) env[line.slice(0, at)] = line.slice(at + 1);
    // The last variable of the last vendor.
    return env.WECOM_PRINTER_URL && env.DOCJOBS_TIME_SCALE && env;
  });
  return env;
}

const env = await simulators();
env.DOCJOBS_LEDGER = join(folder, "ledger.db");
const serve = (more) =>
  start(["serve", "--listen", "127.0.0.1:0", "--json", ...more], env, (line) => {
    const event = JSON.parse(line);
    return event.event === "listening" && event.url;
  });
const site = await serve(["--work"]);

async function submit(name, text, prefer = "wait=30") {
  const form = new FormData();
  form.set("vendor", "textin");
  form.set("file", new Blob([text]), name);
  const response = await fetch(`${site}/v1/jobs`, { method: "POST", body: form, headers: { prefer } });
  assert.ok(response.ok, await response.clone().text());
  return response.json();
}

async function fault(operation, kind) {
  const response = await fetch(`${env.TEXTIN_SERVER_URL}/_sim/fault`, {
    method: "POST",
    body: JSON.stringify({ operation, fault: kind }),
    headers: { "content-type": "application/json" },
  });
  assert.ok(response.ok, await response.text());
}

/** A job whose submit was taken and whose answer was lost, and its id at the vendor. */
async function lostJob(name) {
  await fault("submit", { kind: "drop_after_commit" });
  let job = await submit(name, `text of ${name}\n`, "wait=1");
  for (let tries = 0; job.stage !== "in_doubt" && tries < 100; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    job = await (await fetch(`${site}/v1/jobs/${job.id}`)).json();
  }
  assert.equal(job.stage, "in_doubt");
  const state = await (await fetch(`${env.TEXTIN_SERVER_URL}/_sim/state`)).json();
  const jobs = Object.values(state.jobs ?? {});
  return { job, remote: jobs.at(-1).id ?? jobs.at(-1).job_id };
}

const markup = '<img src=x onerror=alert(1)>.txt';
await submit("report.txt", "a report\n");
await submit(markup, "markup in a name\n");
await submit("季度报告.txt", "一份报告\n");

const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
const problems = [];
const views = ["/", "/in-doubt", "/money", "/rates", "/hooks", "/workers"];

async function context(options) {
  const made = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, ...options });
  made.on("page", (page) => {
    page.on("console", (message) => message.type() === "error" && problems.push(`${page.url()}: ${message.text()}`));
    page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
    page.on("dialog", (dialog) => problems.push(`${page.url()}: a dialog: ${dialog.message()}`));
  });
  return made;
}

async function test(name, run) {
  await run();
  assert.deepEqual(problems, [], name);
  console.log(`ok ${name}`);
}

/** Waits until every job of `address` is settled or in doubt, and there are so many of them. */
async function settled(address, wanted) {
  for (let tries = 0; tries < 600; tries += 1) {
    const { jobs } = await (await fetch(`${address}/v1/jobs?limit=100`)).json();
    const ended = jobs.filter((job) => ["completed", "rejected", "in_doubt"].includes(job.stage));
    if (jobs.length >= wanted && ended.length === jobs.length) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("the demo does not end");
}

try {
  const desk = await context({});
  const page = await desk.newPage();

  await test("the list updates by itself, and markup in a name is text", async () => {
    await page.goto(site);
    await page.getByText(markup).waitFor();
    assert.equal(await page.locator("#list img").count(), 0);
    await submit("live.txt", "a live one\n");
    await page.getByRole("link", { name: "live.txt" }).waitFor({ timeout: 10_000 });
  });

  await test("what happens while a page loads is shown", async () => {
    await page.route("**/v1/events", async (route) => {
      await submit("meanwhile.txt", "between the page and its stream\n");
      await route.continue();
    });
    await page.goto(site);
    await page.getByRole("link", { name: "meanwhile.txt" }).waitFor({ timeout: 10_000 });
    await page.unroute("**/v1/events");
  });

  await test("a filter stands in the address", async () => {
    await page.goto(site);
    await page.getByText("Filter", { exact: true }).click();
    await page.getByLabel("Input").fill("report");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL(/input=report/);
    assert.equal(await page.locator("#list tbody tr").count(), 1);
  });

  await test("a job shows its history and its result", async () => {
    await page.goto(site);
    await page.getByRole("link", { name: "report.txt" }).first().click();
    await page.getByRole("heading", { name: "History" }).waitFor();
    await page.getByText("completed").first().waitFor();
    const link = await page.getByRole("link", { name: "Download the result" }).getAttribute("href");
    assert.equal(await (await fetch(site + link)).text(), "a report\n");
  });

  await test("a job in doubt is adopted after a confirmation", async () => {
    const { job, remote } = await lostJob("lost.txt");
    await page.goto(`${site}/in-doubt`);
    const card = page.locator("article", { hasText: "lost.txt" });
    await card.getByLabel("Vendor's id").fill(remote);
    await card.getByRole("button", { name: "Adopt" }).last().click();
    await page.getByText("Price of a new one").waitFor();
    await page.getByRole("button", { name: "Adopt" }).click();
    await page.getByText("The job is adopted.").waitFor();
    await page.goto(`${site}/jobs/${job.id}`);
    await page.locator("#job .stage.completed").waitFor({ timeout: 20_000 });
  });

  await test("everything works without scripts", async () => {
    const { job } = await lostJob("without-scripts.txt");
    const plain = await context({ javaScriptEnabled: false });
    const quiet = await plain.newPage();
    await quiet.goto(`${site}/jobs/${job.id}`);
    await quiet.getByRole("button", { name: "Abandon" }).click();
    await quiet.getByRole("button", { name: "Abandon" }).click();
    await quiet.locator("#job .stage.abandoned").waitFor();
    await plain.close();
  });

  await test("the page is used by keyboard", async () => {
    await page.goto(site);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), "#content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content");
    const reached = new Set();
    await page.goto(site);
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement.getAttribute("href")));
    }
    for (const view of views) assert.ok(reached.has(view), view);
  });

  await test("Chinese is preferred by the browser and chosen by a person", async () => {
    const chinese = await context({ locale: "zh-CN" });
    const seen = await chinese.newPage();
    await seen.goto(site);
    await seen.getByRole("heading", { name: "任务" }).waitFor();
    assert.equal(await seen.locator("html").getAttribute("lang"), "zh-CN");
    await chinese.close();
    await page.goto(`${site}/money`);
    await page.getByRole("link", { name: "中文" }).click();
    await page.getByRole("heading", { name: "费用" }).waitFor();
    await page.getByRole("link", { name: "English" }).click();
    await page.getByRole("heading", { name: "Money" }).waitFor();
  });

  const first = (await (await fetch(`${site}/v1/jobs?limit=1`)).json()).jobs[0].id;
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1280]) {
      await test(`every view at ${width} px, ${colorScheme}: it fits and is accessible`, async () => {
        const sized = await context({ colorScheme, viewport: { width, height: 800 } });
        const seen = await sized.newPage();
        for (const view of [...views, `/jobs/${first}`, `/jobs/${first}/abandon`]) {
          await seen.goto(site + view);
          const wide = await seen.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${view} is ${wide} px wide`);
          await seen.evaluate(axe);
          const found = await seen.evaluate(() => axe.run());
          const serious = found.violations
            .filter((one) => ["serious", "critical"].includes(one.impact))
            .map((one) => `${view}: ${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
          assert.deepEqual(serious, []);
          const name = view === "/" ? "jobs" : view.includes("abandon") ? "confirm" : view.startsWith("/jobs/") ? "job" : view.slice(1);
          await seen.screenshot({ path: join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
        await sized.close();
      });
    }
  }

  await test("the demo shows its jobs, as the pictures of the README do", async () => {
    const listening = (line) => {
      const event = JSON.parse(line);
      return event.event === "listening" && event.url;
    };
    const demo = await start(["demo", "--serve", "--json"], {}, listening);
    // Eight notes, five documents and three printed ones.
    await settled(demo, 16);
    const pictured = await context({ viewport: { width: 1200, height: 700 } });
    const seen = await pictured.newPage();
    await seen.goto(demo);
    await seen.getByRole("link", { name: "report.pdf" }).first().waitFor();
    await seen.screenshot({ path: join(shots, "readme-jobs.png") });
    await seen.goto(`${demo}/in-doubt`);
    await seen.getByLabel("Vendor's id").waitFor();
    await seen.setViewportSize({ width: 1200, height: 560 });
    await seen.screenshot({ path: join(shots, "readme-in-doubt.png") });
    await pictured.close();
  });

  await test("a person logs in and out", async () => {
    writeFileSync(join(folder, "tokens"), "alice s3cret\n");
    const guarded = await serve(["--token-file", "tokens"]);
    const own = await browser.newContext({ locale: "en-US" });
    const seen = await own.newPage();
    await seen.goto(`${guarded}/workers`);
    await seen.getByLabel("Token").fill("wrong");
    await seen.getByRole("button", { name: "Log in" }).click();
    await seen.getByText("The token is wrong.").waitFor();
    await seen.getByLabel("Token").fill("s3cret");
    await seen.getByRole("button", { name: "Log in" }).click();
    await seen.waitForURL(/workers/);
    await seen.getByRole("button", { name: "Log out" }).click();
    await seen.getByLabel("Token").waitFor();
    await own.close();
  });
} finally {
  await browser.close();
  for (const child of children) child.kill("SIGTERM");
}
