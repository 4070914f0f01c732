// SPDX-License-Identifier: MIT
// The tier bronze: k6 run -e URL=http://127.0.0.1 tests/load/k6/baseline.js
import {optionsOf, setupOf, userOf} from "./tier.js";

export const options = optionsOf("bronze");
export const setup = () => setupOf("bronze");
export default (data) => userOf("bronze", data);
