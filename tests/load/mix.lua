-- SPDX-License-Identifier: MIT
-- The users of a tier, for wrk: each connection is one, who asks for something, reads the answer and
-- thinks. The @words@ are filled in by load.py. What wrk counted goes to a file, a line each.

local codes = {@CODES@}
local redirect, list, create = @REDIRECT@, @LIST@, @CREATE@ -- upper bounds of 100
local think = @THINK_MS@
local n = 0
local head = "Host: @HOST@\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n"
local token = "@TOKEN@" -- for the API; who follows a link has none
local api = token == "" and head or head .. "Authorization: Bearer " .. token .. "\r\n"

function init()
    math.randomseed(@SEED@)
end

local function get(path, fields)
    return "GET " .. path .. " HTTP/1.1\r\n" .. fields .. "\r\n"
end

function request()
    local dice = math.random() * 100
    if dice < redirect then
        return get("/" .. codes[math.random(#codes)], head)
    elseif dice < list then
        return get("/urls?per_page=@PER_PAGE@", api)
    elseif dice < create then
        n = n + 1
        local body = '{"url":"https://www.example.com/load/@SEED@/' .. n .. '","title":"load"}'
        return "POST /urls HTTP/1.1\r\n" .. api .. "Content-Type: application/json\r\nContent-Length: "
            .. #body .. "\r\n\r\n" .. body
    end
    return get("/health", head)
end

if think > 0 then
    -- Half to one and a half times as long, so that users do not walk in step.
    function delay()
        return math.floor(think * (0.5 + math.random()))
    end
end

function done(summary, latency)
    local file = io.open("@OUTPUT@", "w")
    file:write(string.format("requests %d\nduration_us %d\n", summary.requests, summary.duration))
    for name, count in pairs(summary.errors) do
        file:write(string.format("error_%s %d\n", name, count))
    end
    -- Not latency(i): wrk counts from the shortest one again for each. The middle of each 500th.
    for i = 0, 499 do
        file:write(string.format("latency_us %d\n", latency:percentile((i + 0.5) / 5)))
    end
    file:write(string.format("longest_us %d\n", latency.max))
    file:close()
end
