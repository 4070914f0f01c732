// SPDX-License-Identifier: MIT
// The tier gold: k6 run -e URL=http://127.0.0.1 tests/load/k6/tsunami.js
import {optionsOf, setupOf, userOf} from "./tier.js";

export const options = optionsOf("gold");
export const setup = () => setupOf("gold");
export default (data) => userOf("gold", data);
