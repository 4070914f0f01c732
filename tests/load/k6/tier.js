// SPDX-License-Identifier: MIT
// The tiers of tests/load/tiers.json for k6, which no distribution packages (https://k6.io). The users of
// script/load are the same ones.
import http from "k6/http";
import {check, sleep} from "k6";

const TIERS = JSON.parse(open("../tiers.json"));
const URL = (__ENV.URL || "http://127.0.0.1").replace(/\/$/, "");
const JSON_BODY = {headers: {"Content-Type": "application/json"}};

export function optionsOf(name) {
  const tier = TIERS[name];
  return {
    stages: tier.stages.map(([seconds, target]) => ({duration: `${seconds}s`, target})),
    thresholds: {
      http_req_duration: [`p(95)<${tier.limit.p95_ms}`],
      http_req_failed: [`rate<${tier.limit.error_percent / 100}`],
    },
    maxRedirects: 0,
    summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
  };
}

export function setupOf(name) {
  const codes = [];
  for (let i = 0; i < TIERS[name].links; i++) {
    const body = JSON.stringify({url: `https://www.example.com/load/setup/${i}`});
    const answer = http.post(`${URL}/urls`, body, JSON_BODY);
    check(answer, {"a link is made": (one) => one.status === 201});
    codes.push(answer.json("short_code"));
  }
  return {codes};
}

export function userOf(name, {codes}) {
  const tier = TIERS[name];
  const {redirect, list, create} = tier.mix;
  const dice = Math.random() * 100;
  if (dice < redirect) {
    const code = codes[Math.floor(Math.random() * codes.length)];
    const answer = http.get(`${URL}/${code}`, {tags: {name: "redirect"}});
    check(answer, {"302 with a target": (one) => one.status === 302 && one.headers.Location !== undefined});
  } else if (dice < redirect + list) {
    check(http.get(`${URL}/urls?per_page=${tier.per_page}`, {tags: {name: "list"}}), {"a list": (one) => one.status === 200});
  } else if (dice < redirect + list + create) {
    const body = JSON.stringify({url: `https://www.example.com/load/${__VU}/${__ITER}`, title: "load"});
    check(http.post(`${URL}/urls`, body, {...JSON_BODY, tags: {name: "create"}}), {"created": (one) => one.status === 201});
  } else {
    check(http.get(`${URL}/health`, {tags: {name: "health"}}), {"healthy": (one) => one.status === 200});
  }
  sleep(tier.think_seconds * (0.5 + Math.random()));
}
