// SPDX-License-Identifier: MIT
// The tier silver: k6 run -e URL=http://127.0.0.1 tests/load/k6/scaleout.js
import {optionsOf, setupOf, userOf} from "./tier.js";

export const options = optionsOf("silver");
export const setup = () => setupOf("silver");
export default (data) => userOf("silver", data);
