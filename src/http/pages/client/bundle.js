// Makes one ES module of mediasoup-client and all it needs, with their licences on top: node bundle.js <file>

import { readFile, readdir } from 'node:fs/promises';
import { build } from 'esbuild';

const [, , outfile] = process.argv;
const how = { bundle: true, minify: true, format: 'esm', target: 'es2022' };
const contents = "export { Device } from 'mediasoup-client';";
const options = { stdin: { contents, resolveDir: '.' }, outfile, ...how };

/** Name, version and licence of the package in a folder, as a comment that stays. */
async function notice(folder) {
  const { name, version } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence`);
  const text = (await readFile(`${folder}/${file}`, 'utf8')).trim();
  return `/*! ${name} ${version}\n\n${text.replaceAll('*/', '* /')}\n*/`;
}

const { metafile } = await build({ ...options, metafile: true, write: false });
const folders = Object.keys(metafile.inputs).map((input) => input.match(/^node_modules\/(@[^/]+\/)?[^/]+/)?.[0]);
const notices = await Promise.all([...new Set(folders.filter(Boolean))].sort().map(notice));
await build({ ...options, legalComments: 'inline', banner: { js: notices.join('\n') } });
