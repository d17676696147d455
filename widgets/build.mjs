// Each src/views/<view>.js becomes one self-contained ES module in ../astrofuse_lab/static; styles travel inside it as text.
import { build } from "esbuild";
import { copyFileSync, readdirSync, rmSync } from "node:fs";

const out = "../astrofuse_lab/static";
const views = readdirSync("src/views").filter((name) => name.endsWith(".js"));
await build({
  entryPoints: [...views.map((name) => `src/views/${name}`), "src/page/host.js", "src/page/notice.js", "src/page/figure.js"],
  outdir: out,
  entryNames: "[name]",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  loader: { ".css": "text" },
  logLevel: "warning",
});
const pages = ["page.html", "frame.html"];
for (const name of pages) copyFileSync(`src/page/${name}`, `${out}/${name}`);
const made = [...views, "host.js", "notice.js", "figure.js", ...pages];
for (const name of readdirSync(out)) if (!made.includes(name)) rmSync(`${out}/${name}`, { recursive: true });
