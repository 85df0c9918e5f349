// Bundles main.jsx, leaves web fonts out, and collects the licences of what went in.
import { build } from 'esbuild';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const withoutFonts = {
  name: 'without-fonts',
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/@font-face\s*\{[^}]*\}/g, ''),
      loader: 'css',
    }));
  },
};

const result = await build({
  entryPoints: ['main.jsx'],
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  outfile: 'graphiql.js',
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'none',
  metafile: true,
  plugins: [withoutFonts],
});

const roots = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const found = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
  if (found) roots.add(found[1]);
}
let text = 'The offline GraphiQL is built from these packages.\n';
for (const root of [...roots].sort()) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  text += `\n${'-'.repeat(80)}\n${manifest.name} ${manifest.version} (${manifest.license})\n\n`;
  const file = readdirSync(root).find((name) => /^licen[cs]e/i.test(name));
  if (file) text += readFileSync(join(root, file), 'utf8').trim() + '\n';
}
writeFileSync('graphiql.licenses.txt', text);
