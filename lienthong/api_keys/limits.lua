-- Decide all limits of one key in one step, on this server's clock: taken from all of them, or from none.
-- KEYS[i]: where limit i is counted. ARGV: unit, quota, window in microseconds, for each limit.
-- Answer: allowed, then for each limit: used, microseconds until a place is free (0: is free), until it resets.
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds * 1000000 + tonumber(time[2])
local VIETNAM_S = 7 * 3600 -- no summer time

-- Days since 1970 to year and month, and back for the first of a month (proleptic Gregorian calendar).
local function year_and_month(days)
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local in_era = shifted - era * 146097
  local year_in_era = math.floor((in_era - math.floor(in_era / 1460) + math.floor(in_era / 36524)
    - math.floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year_in_era + math.floor(year_in_era / 4) - math.floor(year_in_era / 100))
  local month = (math.floor((5 * in_year + 2) / 153) + 2) % 12 + 1
  return year_in_era + era * 400 + (month <= 2 and 1 or 0), month
end

local function first_day_of(year, month)
  if month > 12 then year, month = year + 1, month - 12 end
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_in_era = year - era * 400
  local in_year = math.floor((153 * ((month + 9) % 12) + 2) / 5)
  return era * 146097 + year_in_era * 365 + math.floor(year_in_era / 4) - math.floor(year_in_era / 100)
    + in_year - 719468
end

local function calendar(unit)
  local days = math.floor((seconds + VIETNAM_S) / 86400)
  if unit == 'day' then
    return 'day:' .. days, (days + 1) * 86400 - VIETNAM_S
  end
  local year, month = year_and_month(days)
  return 'month:' .. year .. '-' .. month, first_day_of(year, month + 1) * 86400 - VIETNAM_S
end

local states, allowed = {}, 1
for i, place in ipairs(KEYS) do
  local unit, quota, window = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local state = { wait = 0, resets = 0 }
  if unit == 'day' or unit == 'month' then
    state.period, state.ends = calendar(unit)
    state.used = tonumber(redis.call('HGET', place, state.period) or '0')
    state.resets = state.ends * 1000000 - now
    if state.used >= quota then state.wait = state.resets end
  else
    local oldest = redis.call('LINDEX', place, 0)
    while oldest and tonumber(oldest) <= now - window do
      redis.call('LPOP', place)
      oldest = redis.call('LINDEX', place, 0)
    end
    state.used = redis.call('LLEN', place)
    if oldest then state.resets = tonumber(oldest) + window - now end
    if state.used >= quota then
      state.wait = tonumber(redis.call('LINDEX', place, state.used - quota)) + window - now
    end
  end
  if state.wait > 0 then allowed = 0 end
  states[i] = state
end

local answer = { allowed }
for i, place in ipairs(KEYS) do
  local quota, window, state = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), states[i]
  if allowed == 1 then
    state.used = state.used + 1
    if state.period then
      if state.used == 1 then redis.call('DEL', place) end
      redis.call('HINCRBY', place, state.period, 1)
      redis.call('EXPIREAT', place, state.ends + 86400)
    else
      -- A Lua number printed plainly loses digits beyond the fourteenth.
      redis.call('RPUSH', place, string.format('%.0f', now))
      redis.call('PEXPIRE', place, math.ceil(window / 1000))
      if state.used == 1 then state.resets = window end
    end
    if state.used >= quota and not state.period then
      state.resets = tonumber(redis.call('LINDEX', place, state.used - quota)) + window - now
    end
  elseif state.wait > 0 then
    state.resets = state.wait
  end
  answer[#answer + 1] = state.used
  answer[#answer + 1] = state.wait
  answer[#answer + 1] = state.resets
end
return answer
