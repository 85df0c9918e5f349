// Builds the console into `dist`, which is committed and embedded in the server.
//
// The bytes depend on the sources and the locked packages alone: packages are found by their place
// below this directory, not by where a link leads, and nothing of the machine or the time gets in.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.SPOOR_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  resolve: { preserveSymlinks: true },
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: "assets/licenses.txt" },
  },
  server: {
    proxy: { "/graphql": { target: server, ws: true }, "/graphiql": server, "/schema.graphql": server },
  },
});
