# SPDX-License-Identifier: MIT
# Where systemd looks for what we install; asked of systemd.pc, else as most distributions have it.
function(shortener_systemd_directory variable name default what)
    pkg_get_variable(found systemd ${name})
    if(NOT found)
        set(found ${default})
    endif()
    set(${variable} ${found} CACHE PATH ${what})
endfunction()

pkg_check_modules(SYSTEMD_PATHS QUIET systemd)
shortener_systemd_directory(SHORTENER_UNIT_DIRECTORY systemd_system_unit_dir
    /usr/lib/systemd/system "folder of system units")
shortener_systemd_directory(SHORTENER_GENERATOR_DIRECTORY systemd_system_generator_dir
    /usr/lib/systemd/system-generators "folder of generators")
shortener_systemd_directory(SHORTENER_PRESET_DIRECTORY systemd_system_preset_dir
    /usr/lib/systemd/system-preset "folder of presets")
shortener_systemd_directory(SHORTENER_CATALOG_DIRECTORY catalog_dir
    /usr/lib/systemd/catalog "folder of the journal's catalog")
shortener_systemd_directory(SHORTENER_SYSUSERS_DIRECTORY sysusers_dir
    /usr/lib/sysusers.d "folder of sysusers.d(5)")
shortener_systemd_directory(SHORTENER_TMPFILES_DIRECTORY tmpfiles_dir
    /usr/lib/tmpfiles.d "folder of tmpfiles.d(5)")
