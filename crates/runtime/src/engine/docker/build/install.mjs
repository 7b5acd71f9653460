// Installs one npm package into /app/node_modules, and makes /app/entry of its program. Runs while the image is built.
//
// Arguments, as JSON: name, version, entry, index, scripts.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync } from 'node:fs';

const told = JSON.parse(process.argv[2]);
const give_up = (why) => {
  console.log(why);
  process.exit(1);
};
const cache = '/tmp/npm';
const npm = ['install', '--prefix', '/app', '--cache', cache, '--omit=dev', '--no-audit', '--no-fund'];
npm.push('--no-update-notifier', `--ignore-scripts=${!told.scripts}`);
if (told.index) npm.push(`--registry=${told.index}`);
npm.push(`${told.name}@${told.version ?? 'latest'}`);
if (spawnSync('npm', npm, { stdio: 'inherit' }).status !== 0) give_up('npm failed');
rmSync(cache, { recursive: true, force: true });

const { version, bin = {} } = JSON.parse(readFileSync(`/app/node_modules/${told.name}/package.json`, 'utf8'));
const short = told.name.split('/').pop();
const programs = typeof bin === 'string' ? [short] : Object.keys(bin);
const entry = told.entry ?? (programs.length === 1 ? programs[0] : short);
if (!programs.includes(entry)) {
  give_up(`say which program to run with \`entry\`; it has ${programs.join(', ') || 'none'}`);
}
symlinkSync(`/app/node_modules/.bin/${entry}`, '/app/entry');
console.log(`safeconduct-built ${JSON.stringify({ version, entry })}`);
