# The machine that all generations are for: a disk, a store, one network, a shell for the test. The rest is what NixOS
# has by default, but for what no stand-in is like.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  boot = {
    # Stage 1 is none of nixpkgs'.
    initrd.enable = false;
    loader.grub.enable = false;
    loader.initScript.enable = true;
    kernelParams = [ "console=ttyS0" ];
  };
  fileSystems = {
    "/" = {
      device = "/dev/vda";
      fsType = "ext4";
      noCheck = true;
    };
    "/nix/store" = {
      device = "/dev/vdb";
      fsType = "ext4";
      options = [ "ro" ];
      noCheck = true;
    };
  };
  networking = {
    useDHCP = false;
    usePredictableInterfaceNames = false;
    defaultGateway = "192.168.1.254";
    resolvconf.enable = false;
  };
  environment.etc."resolv.conf".text = "nameserver 192.168.1.254\n";
  system.build = {
    initialRamdisk = pkgs.firstStage;
    initialRamdiskSecretAppender = pkgs.standIn "secrets" { };
  };
  system.stateVersion = lib.trivial.release;

  # A shell on a port of the machine, as nixpkgs' tests have it.
  systemd.services.backdoor = {
    wantedBy = [ "multi-user.target" ];
    requires = [ "dev-hvc0.device" ];
    after = [ "dev-hvc0.device" ];
    restartIfChanged = false;
    serviceConfig.KillSignal = "SIGHUP";
    serviceConfig.StandardError = "null";
    script = ''
      export USER=root HOME=/root
      source /etc/profile
      export PAGER=
      cd /tmp
      exec < /dev/hvc0 > /dev/hvc0
      stty -F /dev/hvc0 raw -echo
      echo "Spawning backdoor root shell..."
      PS1= exec ${pkgs.bash}/bin/bash --norc /dev/hvc0
    '';
  };
  systemd.services."serial-getty@ttyS0".enable = false;
  systemd.services."serial-getty@hvc0".enable = false;
  systemd.services."getty@tty1".enable = false;
  systemd.services."autovt@".enable = false;

  # Where Debian's programs look for what nixpkgs' have in the store; none of these is on a path for programs.
  system.activationScripts.debian = ''
    mkdir -p /usr/lib/x86_64-linux-gnu /lib
    ln -sfn ${config.systemd.package}/lib/systemd /usr/lib/systemd
    ln -sfn ${config.systemd.package}/lib/udev /usr/lib/udev
    ln -sfn ${pkgs.util-linux}/bin/mount /usr/lib/mount
    ln -sfn ${pkgs.util-linux}/bin/umount /usr/lib/umount
    ln -sfn ${pkgs.debian}/usr/lib/x86_64-linux-gnu/xtables /usr/lib/x86_64-linux-gnu/xtables
    ln -sfn /run/booted-system/kernel-modules/lib/modules /lib/modules
  '';

  # What is built of packages that no stand-in is like, and nothing of the module's.
  documentation.enable = lib.mkForce false;
  environment.stub-ld.enable = false;
  environment.defaultPackages = lib.mkForce [ ];
  nix.enable = false;
  programs.nano.enable = false;
  programs.command-not-found.enable = false;
  programs.less.enable = lib.mkForce false;
  systemd.services.audit.enable = false;
  security.sudo.enable = false;
  services.lvm.enable = false;
  services.logrotate.enable = false;
  services.nscd.enable = false;
  system.nssModules = lib.mkForce [ ];
  services.timesyncd.enable = false;
  systemd.coredump.enable = false;
  systemd.oomd.enable = false;
  i18n.supportedLocales = [ ];
  # Of an emulated machine.
  systemd.extraConfig = ''
    DefaultTimeoutStartSec=600
    DefaultDeviceTimeoutSec=600
  '';
  # Of systemd, but in other packages of Debian, or in none.
  console.enable = false;
  systemd.suppressedSystemUnits = [
    "systemd-vconsole-setup.service"
    "systemd-bootctl@.service"
    "systemd-bootctl.socket"
    "systemd-nspawn@.service"
  ];
}
