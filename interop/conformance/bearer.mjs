// Preloaded into the conformance suite, which has no option for a bearer: adds it to everything that
// leaves the process, by fetch and undici (one global dispatcher) and by http.request.
import http from 'node:http';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';

const bearer = process.env.INTEROP_BEARER;
if (bearer) {
  // undici is the suite's own: found from where the suite was started.
  const require = createRequire(process.env.INTEROP_NODE_HOME + '/package.json');
  const { Agent, setGlobalDispatcher } = require('undici');
  const value = `Bearer ${bearer}`;

  setGlobalDispatcher(
    new Agent().compose((dispatch) => (options, handler) => {
      const headers = options.headers ?? {};
      if (Array.isArray(headers)) headers.push('authorization', value);
      else headers.authorization = value;
      return dispatch({ ...options, headers }, handler);
    }),
  );

  const request = http.request;
  http.request = (target, options, callback) => {
    const settings = typeof target === 'string' || target instanceof URL ? options : target;
    settings.headers = { ...settings.headers, authorization: value };
    return request(target, options, callback);
  };
  syncBuiltinESMExports();
}
